package supervisor

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
	"example.com/crashlab/supervisor/status"
)

// If a wrapper dies of the stop signal, its children still have the stop timeout.
func TestStopLetsTheWholeGroupDrain(t *testing.T) {
	const drains = `trap 'sleep 0.2; echo drained; exit' TERM; echo up; while :; do sleep 0.01; done`
	for name, script := range map[string]string{
		"group":  `sh -c "$0" & echo ready; wait`,
		"leader": `trap 'kill -TERM $!; exit' TERM; sh -c "$0" & echo ready; wait`,
	} {
		t.Run(name, func(t *testing.T) {
			r := spec.Replica{Args: []string{"/bin/sh", "-c", script, drains}, StopTimeout: patience}
			if name == "leader" {
				r.StopTo = spec.StopLeader
			}
			s := start(t, one(r, restart.Policy{}))
			s.line("a up")
			s.line("a ready")
			s.stop()
			s.ends()
			s.line("a drained")
			for _, e := range s.events {
				if e.Kind == event.KindKilled {
					t.Errorf("it was killed: %s", e.Reason)
				}
			}
		})
	}
}

// The reason of a kill says how many processes were killed.
func TestKillSaysHowMany(t *testing.T) {
	parent := child("parent", as("deaf")...)
	parent.StopTimeout = time.Millisecond
	s := start(t, one(parent, restart.Policy{}))
	s.line("a up 1")
	s.stop()
	s.ends()
	// The parent may already have died of SIGTERM.
	if e := s.event(event.KindKilled, 1); !strings.HasSuffix(e.Reason, ": 1 process") && !strings.HasSuffix(e.Reason, ": 2 processes") {
		t.Errorf("reason %q", e.Reason)
	}
}

// A first process that daemonizes is reported once, and its daemon is terminated.
func TestDaemonizedIsReportedOnce(t *testing.T) {
	needs(t, "setsid")
	r := spec.Replica{Args: []string{"/bin/sh", "-c", `setsid sh -c 'trap "echo terminated; exit" TERM; echo up; while :; do sleep 0.01; done' & read x </dev/null; sleep 0.1`}, StopTimeout: patience}
	s := start(t, one(r, restart.Policy{Limit: restart.Limit{Exits: 3, Window: time.Hour}}))
	s.event(event.KindFailed, 3)
	s.ends()
	n := 0
	for _, e := range s.events {
		if e.Kind == event.KindDaemonized {
			n++
		}
	}
	if n != 1 {
		t.Errorf("reported %d times, want once", n)
	}
}

// A replica is not ready while another process listens at its address, and its status says so.
func TestReadinessRequiresTheReplicasListener(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system does not say who listens")
	}
	stranger, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	r := child("serve")
	r.Addr, r.Ready = stranger.Addr().String(), spec.Probe{Kind: spec.ProbeTCP}
	s := start(t, one(r, restart.Policy{}))
	eventually(t, "reason", func() bool {
		status, err := s.Get("a")
		return err == nil && status.Answer != nil
	})
	if now, _ := s.Get("a"); now.State != status.StateStarting || !strings.Contains(now.Answer.Error(), "another process") {
		t.Errorf("state %v, answer %v", now.State, now.Answer)
	}
}

// A child of the first process may be the one that listens.
func TestReadyByAChild(t *testing.T) {
	r := spec.Replica{Args: append([]string{"/bin/sh", "-c", `"$@" & wait`, "sh"}, as("listen")...), Ready: spec.Probe{Kind: spec.ProbeTCP}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.Addr = l.Addr().String()
	r.Env = append(os.Environ(), "LISTEN_AT="+r.Addr)
	l.Close()
	s := start(t, one(r, restart.Policy{}))
	s.event(event.KindReady, 1)
}

// A replica that reports that it is not serving is unready, and is not killed.
func TestUnready(t *testing.T) {
	var bad atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if bad.Load() || r.URL.Path != "/healthz" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	probe := spec.Probe{Kind: spec.ProbeHTTP, Path: "/healthz", Period: 10 * time.Millisecond, Threshold: 1 << 20}
	r := child("serve")
	r.Addr, r.Alive = strings.TrimPrefix(server.URL, "http://"), probe
	s := start(t, one(r, restart.Policy{}))
	s.event(event.KindReady, 1)
	bad.Store(true)
	if e := s.event(event.KindUnready, 1); !strings.Contains(fmt.Sprint(e.Err), "503") {
		t.Errorf("it is unready because of %v", e.Err)
	}
	eventually(t, "state", func() bool { now, _ := s.Get("a"); return now.State == status.StateUnready })
	bad.Store(false)
	eventually(t, "recovery", func() bool { now, _ := s.Get("a"); return now.State == status.StateReady })
	if now, _ := s.Get("a"); now.Incarnation != 1 {
		t.Errorf("incarnation %d: it was killed", now.Incarnation)
	}
}
