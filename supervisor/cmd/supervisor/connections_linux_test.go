package main

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
)

// Clients that connect and do nothing take no descriptors that replicas need, and keep nobody out.
func TestIdleConnectionsStarveNobody(t *testing.T) {
	t.Parallel()
	metrics := fmt.Sprintf("127.0.0.1:%d", freePorts(t, 1))
	c := prepareIn(t, t.TempDir(), "listen", fmt.Sprintf(`replicas: 3
base_port: %d
ready: tcp
alive: {kind: tcp, period: 10ms, timeout: 10ms, threshold: 1000}
metrics_addr: %s
command: [%q, "{addr}"]
`, freePorts(t, 3), metrics, os.Args[0]))
	c.Path, c.Args = "/bin/sh", append([]string{"sh", "-c", `ulimit -n 64 && exec "$0" "$@"`, program}, c.Args[1:]...)
	c.launch()
	c.file("e.jsonl", "three ready replicas", func(text string) bool { return strings.Count(text, `"kind":"ready"`) == 3 })
	for range 300 {
		for _, at := range [][2]string{{"unix", c.socket()}, {"tcp", metrics}} {
			conn, err := net.Dial(at[0], at[1])
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
		}
	}
	scrape(t, "http://"+metrics+"/metrics")
	list := c.ctl("list")
	if n := len(regexp.MustCompile(`(?m)^[abc] +ready +\d+ +1 `).FindAllString(list, -1)); n != 3 {
		t.Errorf("%d replicas are in their first incarnation, want 3:\n%s", n, list)
	}
	c.ctl("restart", "--wait", "b")
	if list := c.ctl("list"); !regexp.MustCompile(`(?m)^b +ready +\d+ +2 `).MatchString(list) {
		t.Errorf("after a restart of b:\n%s", list)
	}
}
