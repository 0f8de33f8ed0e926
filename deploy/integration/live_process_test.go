package integration

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// liveState is the part of a live session's state that these tests read.
type liveState struct {
	Frame    int `json:"frame"`
	Replicas []struct {
		Name        string `json:"name"`
		Addr        string `json:"addr"`
		State       string `json:"state"`
		PID         int    `json:"pid"`
		Incarnation int    `json:"incarnation"`
	} `json:"replicas"`
	Loads []struct {
		Total struct {
			OK int `json:"ok"`
		} `json:"total"`
	} `json:"loads"`
}

// liveSession is a running crashlab live, and the stream of events of its page.
type liveSession struct {
	*process
	base, token string
	lines       *bufio.Scanner
}

// startLive runs crashlab live, and opens the stream.
func startLive(t *testing.T, args ...string) *liveSession {
	t.Helper()
	s := &liveSession{process: start(t, "crashlab", append([]string{"live", "--listen=127.0.0.1:0", "--runs=" + t.TempDir()}, args...)...)}
	s.seek(&s.stdout, "the URL", func(line string) bool {
		url, ok := strings.CutPrefix(line, "Open ")
		s.base, s.token, _ = strings.Cut(url, "/#")
		return ok
	})
	reply, err := http.Get(s.base + "/api/events?token=" + s.token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reply.Body.Close() })
	s.lines = bufio.NewScanner(reply.Body)
	s.lines.Buffer(nil, 16<<20)
	return s
}

// await returns the first state for which so returns true. An update has only the parts of the
// state that have changed, but each of them completely, so that these tests can read it like a
// state.
func (s *liveSession) await(what string, so func(liveState) bool) liveState {
	s.t.Helper()
	var now liveState
	for s.lines.Scan() {
		data, ok := strings.CutPrefix(s.lines.Text(), "data: ")
		if !ok {
			continue
		}
		if err := json.Unmarshal([]byte(data), &now); err != nil {
			s.t.Fatal(err)
		}
		if now.Frame > 0 && so(now) {
			return now
		}
	}
	s.t.Fatalf("no %s: %v", what, s.lines.Err())
	return now
}

// do sends a command, as the page does.
func (s *liveSession) do(command string) {
	s.t.Helper()
	r, err := http.NewRequest("POST", s.base+"/api/command", strings.NewReader(command))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.token)
	r.Header.Set("Content-Type", "application/json")
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %s", command, reply.Status)
	}
}

// end ends crashlab live by Ctrl-C.
func (s *liveSession) end() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		s.t.Fatal(err)
	}
	if code := s.exitCode(); code != 0 {
		s.t.Errorf("exit code %d, want 0", code)
	}
}

// crashlab live starts the cluster of a file. Its page kills a replica, and Ctrl-C leaves no
// process.
func TestLiveOwnCluster(t *testing.T) {
	t.Parallel()
	base := freePorts(t, 3)
	file := filepath.Join(t.TempDir(), "cluster.yaml")
	text := fmt.Sprintf("replicas: 2\nbase_port: %d\nrestart_delay: 20ms\ncommand: [%s/bin/counterd, '--addr={addr}', '--replica={name}']\nready: grpc\ncontrol: {addr: %s}\n", base, lab, addr(base+2))
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	s := startLive(t, "--cluster="+file)
	before := s.await("answers", func(now liveState) bool { return len(now.Loads) > 0 && now.Loads[0].Total.OK > 0 })
	if len(before.Replicas) != 2 {
		t.Fatalf("replicas %+v", before.Replicas)
	}
	s.do(`{"do":"kill","replicas":["b"]}`)
	after := s.await("relaunch of b", func(now liveState) bool {
		return len(now.Replicas) == 2 && now.Replicas[1].Incarnation == 2 && now.Replicas[1].State == "ready"
	})
	s.end()
	for _, r := range append(before.Replicas, after.Replicas...) {
		if alive(r.PID, r.Addr) {
			t.Errorf("replica %s, process %d, is alive after the end", r.Name, r.PID)
		}
	}
}

// crashlab live attaches to a running cluster, and leaves it unchanged.
func TestLiveAttaches(t *testing.T) {
	t.Parallel()
	c := startCluster(t, []string{withControl})
	s := startLive(t, "--control="+c.control)
	s.await("answers", func(now liveState) bool { return len(now.Loads) > 0 && now.Loads[0].Total.OK > 0 })
	s.end()
	if n := len(c.alive()); n != 3 {
		t.Errorf("%d replicas are alive after the end of the session, want 3", n)
	}
	if err := syscall.Kill(c.cmd.Process.Pid, 0); err != nil {
		t.Errorf("the supervisor: %v", err)
	}
}
