package failover_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// A replica at a Unix socket comes back, whatever its address looks like.
func TestUnixReplicaComesBack(t *testing.T) {
	dir, err := os.MkdirTemp("", "unix") // shorter than t.TempDir, as a socket's path must be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Chdir(dir)
	abstract := filepath.Base(dir)
	for _, tc := range []struct{ target, listen string }{
		{"unix://" + dir + "/a:b.sock", "a:b.sock"},
		{"unix://" + dir + "/a:1", "a:1"},
		{"unix:c:d.sock", "c:d.sock"},
		{"unix-abstract:" + abstract + ":1", "@" + abstract + ":1"},
		{"passthrough:///unix:e.sock", "e.sock"},
		{"passthrough:///unix:" + dir + "/f:g.sock", "f:g.sock"},
		{"static:///unix:80", "80"},
	} {
		t.Run(tc.target, func(t *testing.T) {
			serve := func() *grpc.Server {
				lis, err := net.Listen("unix", tc.listen)
				if err != nil {
					t.Fatal(err)
				}
				server := grpc.NewServer()
				healthv1.RegisterHealthServer(server, new(replica))
				t.Cleanup(server.Stop)
				go server.Serve(lis)
				return server
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			down := make(chan struct{}, 2)
			conn, err := failover.NewClient(tc.target, failover.Policy{
				WhenDown: failover.WhenDownWait, Idempotent: map[string]bool{"/": true},
				OnReplica: func(e failover.ReplicaEvent) {
					if e.State == failover.ReplicaDown {
						down <- struct{}{}
					}
				},
			}, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			for range 2 { // a replica that was never up, and one that is restarted
				conn.Connect()
				select {
				case <-down:
				case <-ctx.Done():
					t.Fatal("it is not down")
				}
				server := serve()
				if attempts, err := call(ctx, conn); err != nil {
					t.Fatalf("got %q, %v, want success once it listens", path(attempts), err)
				}
				server.Stop()
			}
		})
	}
}

// A user's dialer gets the same address, whoever dials.
func TestDialerGetsTheSameAddress(t *testing.T) {
	for target, want := range map[string]string{
		"unix:///run/x/a:b.sock":         "unix:///run/x/a:b.sock",
		"unix:a:1":                       "unix:a:1",
		"unix-abstract:a:1":              "unix:@a:1",
		"passthrough:///unix:///run/a:b": "unix:///run/a:b",
		"passthrough:///vsock:3":         "vsock:3",
		"passthrough:///vsock://3:1":     "vsock://3:1",
		"passthrough:///a.example:http":  "a.example:http",
		"passthrough:///bufnet":          "bufnet",
		"static:///a:1":                  "a:1",
	} {
		t.Run(target, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 1)
				c.crash()
				var mu sync.Mutex
				var dialed []string
				conn := c.connectTo(t, target, 1, failover.Policy{WhenDown: failover.WhenDownWait}, grpc.WithContextDialer(
					func(ctx context.Context, addr string) (net.Conn, error) {
						mu.Lock()
						dialed = append(dialed, addr)
						mu.Unlock()
						return c[0].dial(ctx)
					}))
				time.AfterFunc(time.Second, c[0].start)
				if attempts, err := call(t.Context(), conn); err != nil {
					t.Errorf("got %q, %v, want success once it listens", path(attempts), err)
				}
				synctest.Wait()
				mu.Lock()
				defer mu.Unlock()
				if slices.Sort(dialed); len(dialed) < 10 || dialed[0] != want || dialed[len(dialed)-1] != want {
					t.Errorf("dialed %q, want %q each time", slices.Compact(dialed), want)
				}
			})
		})
	}
}
