package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
	"example.com/crashlab/supervisor/control"
)

// Idle connections do not use up the descriptors that replicas need, and do not displace other
// clients, not even a watcher without events.
func TestIdleConnectionsDoNotStarveOthers(t *testing.T) {
	t.Parallel()
	metrics := fmt.Sprintf("127.0.0.1:%d", freePorts(t, 1))
	c := prepareIn(t, t.TempDir(), "listen", fmt.Sprintf(`replicas: 3
base_port: %d
ready: tcp
alive: {kind: tcp, period: 10ms, timeout: 10ms, threshold: 1000}
metrics_addr: %s
command: [%q, "{addr}"]
`, freePorts(t, 3), metrics, os.Args[0]))
	c.Path, c.Args = "/bin/sh", append([]string{"sh", "-c", `ulimit -n 64 && exec "$0" "$@"`, binary}, c.Args[1:]...)
	c.launch()
	c.file("e.jsonl", "three ready replicas", func(text string) bool { return strings.Count(text, `"kind":"ready"`) == 3 })
	client, err := control.NewClient("unix://"+c.socket(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	watch, err := supervisorv1.NewSupervisorClient(client).Watch(ctx, new(supervisorv1.WatchRequest))
	if err == nil {
		_, err = watch.Header() // the watch has begun
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		for _, at := range [][2]string{{"unix", c.socket()}, {"tcp", metrics}} {
			conn, err := net.Dial(at[0], at[1])
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
		}
	}
	scraped, err := (&http.Client{Timeout: patience}).Get("http://" + metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	scraped.Body.Close()
	list := c.ctl("list")
	if n := len(regexp.MustCompile(`(?m)^[abc] +ready +\d+ +1 `).FindAllString(list, -1)); n != 3 {
		t.Errorf("%d replicas are in their first incarnation, want 3:\n%s", n, list)
	}
	c.ctl("restart", "--wait", "b")
	if list := c.ctl("list"); !regexp.MustCompile(`(?m)^b +ready +\d+ +2 `).MatchString(list) {
		t.Errorf("after a restart of b:\n%s", list)
	}
	for kind := supervisorv1.EventKind_EVENT_KIND_UNSPECIFIED; kind != supervisorv1.EventKind_EVENT_KIND_LAUNCHED; {
		next, err := watch.Recv()
		if err != nil {
			t.Fatalf("watch: %v", err)
		}
		kind = next.GetEvent().GetKind()
	}
}
