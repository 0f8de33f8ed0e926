package main

import (
	"io"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/failover"
)

func FuzzTarget(f *testing.F) {
	for _, text := range []string{"127.0.0.1:7101,b:2", "static:///a:1", "dns:///localhost:7101", "dns:a:70000", "unix:/run/a", "foo://x", "passthrough:///[::1]:1", "%"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var to target
		err := to.UnmarshalText([]byte(text))
		if err == nil {
			var conn *failover.Client
			conn, err = failover.NewClient(string(to), failover.Policy{}, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err == nil {
				conn.Close()
			}
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: more than one line", err)
		}
	})
}

// FuzzCommandLine parses arguments, one per line. If they are accepted, the libraries must accept
// the plan and the policy.
func FuzzCommandLine(f *testing.F) {
	for _, text := range []string{
		"load\n-n3\n-c\n2\n--timeout=1s\n--deadline=3s\n--rounds=2\n--pause=0s\n--order=random\n--when-down=wait",
		"load\n--rate=5.5\n--arrivals=poisson\n--seed=7\n--duration=1m\n--warmup=1s\n--require-success=.9",
		"get\n--max-in-flight=adaptive\n--budget=0.1\n--eject-after=0\n--hedge-after=10ms\n--only-unsent",
		"experiment\nrun\nx.yaml\n--set=timeout=300ms\n--set\nservice_time=uniform:1ms:2ms\n--repeats=3",
		"report\nruns/latest\n--format=csv\n--chart=sweep", "compare\na\n-b", "--help",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var cli commandLine
		parsed, err := program.Parse(&cli, strings.Split(text, "\n"), io.Discard, io.Discard, kong.Exit(func(int) {}))
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: more than one line", err)
			}
			return
		}
		var p policy
		switch parsed.Command() {
		case "load":
			p = cli.Load.policy
			if plan, err := cli.Load.plan(); err == nil && plan.Validate() != nil {
				t.Errorf("%+v: %v", plan, plan.Validate())
			}
		case "get":
			p = cli.Get.policy
		case "experiment run <file>":
			for _, l := range cli.Experiment.Run.Design.Set {
				if again, err := design.NewLevel(l.Factor, l.Value); err != nil || again != design.Level(l) {
					t.Errorf("%v becomes %v, %v", l, again, err)
				}
			}
			return
		default:
			return
		}
		conn, err := failover.NewClient("static:///127.0.0.1:1", p.failover(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatalf("%+v: %v", p, err)
		}
		conn.Close()
	})
}
