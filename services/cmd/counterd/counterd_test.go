package main

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	counterv1 "example.com/crashlab/gen/counter/v1"
	faultv1 "example.com/crashlab/gen/fault/v1"
	"example.com/crashlab/services/fault"
	"example.com/crashlab/supervisor/transport"
)

func check(t *testing.T, conn *grpc.ClientConn, service string) {
	t.Helper()
	reply, err := healthv1.NewHealthClient(conn).Check(patiently(t), &healthv1.HealthCheckRequest{Service: service})
	if err != nil || reply.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Fatalf("health of %q = %v, %v; want SERVING", service, reply.GetStatus(), err)
	}
}

func TestGetCountsFromOne(t *testing.T) {
	counter := counterv1.NewCounterClient(start(t, "--replica", "c", "--incarnation", "4").dial(t))
	for want := uint64(1); want <= 3; want++ {
		got, err := counter.Get(patiently(t), &counterv1.GetRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if want := (&counterv1.GetResponse{Value: want, Replica: "c", Incarnation: 4}); !proto.Equal(got, want) {
			t.Errorf("Get = %v, want %v", got, want)
		}
	}
}

func TestSetMakesTheNextGetCrash(t *testing.T) {
	p := start(t)
	conn := p.dial(t)
	counter := counterv1.NewCounterClient(conn)
	if _, err := counter.Get(patiently(t), &counterv1.GetRequest{}); err != nil {
		t.Fatal(err)
	}
	_, err := faultv1.NewFaultClient(conn).Set(patiently(t), &faultv1.SetRequest{CrashProbability: proto.Float64(1)})
	if err != nil {
		t.Fatal(err)
	}
	check(t, conn, "")
	check(t, conn, "counter.v1.Counter")

	if reply, err := counter.Get(patiently(t), &counterv1.GetRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("Get = %v, %v; want Unavailable", reply, err)
	}
	if code := p.exitCode(t); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	line, _ := p.wait(t, "simulated crash")
	if want := "request=2 method=/counter.v1.Counter/Get point=arrival incarnation=1 arrived=2 counted=1 in_flight=0"; !strings.HasSuffix(line, want) {
		t.Errorf("log line %q, want one that ends in %q", line, want)
	}
	if more, ok := p.wait(t, ""); ok {
		t.Errorf("a line after the crash: %q", more)
	}
}

func TestLastLineHasTheCounts(t *testing.T) {
	for _, crash := range []bool{false, true} {
		// When the server has accepted the Get, it usually has arrived at the injector, but not
		// always.
		for inFlight := 0; inFlight != 1; {
			inFlight = lastCounts(t, crash)
		}
	}
}

// lastCounts ends a counterd that counted 3 Gets, by a crash or a signal, while another Get hangs
// or is about to. It returns the number in flight according to the last line.
func lastCounts(t *testing.T, crash bool) int {
	p := start(t, "--log-json", "--drain-timeout", "100ms")
	conn := p.dial(t)
	service, faults := counterv1.NewCounterClient(conn), faultv1.NewFaultClient(conn)
	for range 3 {
		if _, err := service.Get(patiently(t), &counterv1.GetRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := faults.Set(patiently(t), &faultv1.SetRequest{Hang: proto.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	beginGet(t, conn)
	last, crashed := "stopped", 0
	if crash {
		last, crashed = "simulated crash", 1
		faults.Set(patiently(t), &faultv1.SetRequest{CrashProbability: proto.Float64(1)})
		service.Get(patiently(t), &counterv1.GetRequest{})
	} else {
		p.Signal(syscall.SIGTERM)
	}
	text, _ := p.wait(t, last)
	var line struct {
		Message  string `json:"@message"`
		Arrived  *int
		Counted  *int
		InFlight *int `json:"in_flight"`
	}
	if err := json.Unmarshal([]byte(text), &line); err != nil || line.Arrived == nil || line.Counted == nil || line.InFlight == nil {
		t.Fatalf("last line %q, %v: want three counts", text, err)
	}
	inFlight := *line.InFlight
	if line.Message != last || *line.Counted != 3 || inFlight < 0 || inFlight > 1 || *line.Arrived != 3+inFlight+crashed {
		t.Fatalf("last line %s, want 3 counted, up to 1 in flight, and as many arrived as these and %d that crashed", text, crashed)
	}
	return inFlight
}

func TestCapacityBoundsTheWork(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: 1 s of requests, one after the other")
	}
	t.Parallel()
	const gets, work = 5, 200 * time.Millisecond
	service := counterv1.NewCounterClient(start(t, "--capacity", "1", "--service-time", work.String()).dial(t))
	began := time.Now()
	var wg sync.WaitGroup
	for range gets {
		wg.Go(func() {
			if _, err := service.Get(patiently(t), &counterv1.GetRequest{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(began); took < gets*work {
		t.Errorf("%d Gets took %v, want %v at least: one after the other", gets, took, gets*work)
	}
}

func TestRunsWithOneSeedCrashAtTheSameRequest(t *testing.T) {
	const p = 0.2
	firstCrash := func(seed, incarnation uint64) uint64 {
		plan := fault.Plan{Seed: seed, Replica: "a", Incarnation: incarnation}
		k := uint64(1)
		for plan.Draws(k).Crash >= p {
			k++
		}
		return k
	}
	seed := uint64(1)
	for firstCrash(seed, 1) < 3 || firstCrash(seed, 2) < 3 || firstCrash(seed, 1) == firstCrash(seed, 2) {
		seed++
	}

	for i, incarnation := range []uint64{1, 1, 2} {
		t.Setenv([]string{"CRASHLAB_INCARNATION", "INCARNATION"}[i%2], strconv.FormatUint(incarnation, 10))
		process := start(t, "--p-crash", "0.2", "--seed", strconv.FormatUint(seed, 10))
		counter := counterv1.NewCounterClient(process.dial(t))
		k := uint64(1)
		for ; ; k++ {
			if _, err := counter.Get(patiently(t), &counterv1.GetRequest{}); err != nil {
				break
			}
		}
		if want := firstCrash(seed, incarnation); k != want {
			t.Errorf("incarnation %d crashed at request %d, want %d", incarnation, k, want)
		}
		if code := process.exitCode(t); code != 1 {
			t.Errorf("exit code %d, want 1", code)
		}
	}
}

func TestReflectionListsTheServices(t *testing.T) {
	want := []string{
		"counter.v1.Counter", "fault.v1.Fault", "grpc.health.v1.Health",
		"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
	}
	if got := services(t, start(t, "--p-crash", "1").dial(t)); !slices.Equal(got, want) {
		t.Errorf("the services are %q; want %q", got, want)
	}
	want = slices.Delete(want, 1, 2)
	if got := services(t, start(t, "--fault-listen", "none").dial(t)); !slices.Equal(got, want) {
		t.Errorf("without the Fault service the services are %q; want %q", got, want)
	}
}

// The Fault service is only at its own address.
func TestFaultServiceElsewhere(t *testing.T) {
	p := start(t, "--fault-listen", "127.0.0.1:0")
	addr := faultAddr.FindStringSubmatch(p.logged[0])
	if addr == nil {
		t.Fatalf("no address in %q", p.logged[0])
	}
	conn, crash := p.dial(t), &faultv1.SetRequest{CrashProbability: proto.Float64(1)}
	if _, err := faultv1.NewFaultClient(conn).Set(patiently(t), crash); status.Code(err) != codes.Unimplemented {
		t.Errorf("Set at the address of the calls: %v, want %v", err, codes.Unimplemented)
	}
	there := dial(t, addr[1])
	want := []string{"fault.v1.Fault", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}
	if got := services(t, there); !slices.Equal(got, want) {
		t.Errorf("the services there are %q; want %q", got, want)
	}
	if _, err := faultv1.NewFaultClient(there).Set(patiently(t), crash); err != nil {
		t.Fatal(err)
	}
	if _, err := counterv1.NewCounterClient(conn).Get(patiently(t), &counterv1.GetRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("Get: %v, want %v", err, codes.Unavailable)
	}
	if code := p.exitCode(t); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
}

var faultAddr = regexp.MustCompile(` fault_addr=([0-9.:]+) `)

// services returns the services that a server lists, in the order of their names.
func services(t *testing.T, conn *grpc.ClientConn) (all []string) {
	t.Helper()
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(patiently(t))
	if err != nil {
		t.Fatal(err)
	}
	stream.Send(&reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{},
	})
	reply, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range reply.GetListServicesResponse().GetService() {
		all = append(all, service.GetName())
	}
	slices.Sort(all)
	return all
}

func TestListeningLine(t *testing.T) {
	p := start(t, "--replica", "b", "--incarnation", "2", "--seed", "9", "--p-crash", "0.3", "--service-time", "50ms",
		"--crash-point", "reply", "--capacity", "4", "--hang", "--error-probability", "0.1", "--error-code", "ABORTED")
	want := `[INFO]  counterd: listening: addr=` + p.addr + ` replica=b incarnation=2 seed=9 ` +
		`faults="crash 0.3 at reply, hang, ABORTED 0.1, capacity 4, service time 50ms"`
	if line := p.logged[0]; !strings.HasSuffix(line, want) || strings.Contains(line, "\x1b") {
		t.Errorf("first line %q, want one that ends in %q", line, want)
	}

	p = start(t, "--log-json")
	var line struct {
		Message     string `json:"@message"`
		Addr        string
		Replica     string
		Incarnation uint64
		Seed        uint64
		Faults      string
	}
	if err := json.Unmarshal([]byte(p.logged[0]), &line); err != nil {
		t.Fatal(err)
	}
	if line.Seed == 0 {
		t.Error("the random seed is not logged")
	}
	seed := line.Seed
	if line.Seed = 0; line.Message != "listening" || line.Addr != p.addr || line.Replica != "a" ||
		line.Incarnation != 1 || line.Faults != "none" {
		t.Errorf("first line %+v", line)
	}
	p = start(t, "--log-json")
	if json.Unmarshal([]byte(p.logged[0]), &line); line.Seed == seed {
		t.Errorf("two runs drew the same seed %d", seed)
	}
}

func TestPortInUse(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	p := launch(t, "--addr", listener.Addr().String())
	if code := p.exitCode(t); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	line, _ := p.wait(t, "")
	if !strings.Contains(line, listener.Addr().String()) || !strings.Contains(line, "address already in use") {
		t.Errorf("the log says %q, want the address and that it is in use", line)
	}
	if more, ok := p.wait(t, ""); ok {
		t.Errorf("a second line: %q", more)
	}
}

func TestBadInput(t *testing.T) {
	const distribution = "want 0, a duration such as 50ms, uniform:MIN:MAX with MIN up to MAX, exp:MEAN, " +
		"or values:A:B:... with up to 1000 durations in ascending order, no duration negative"
	const hostPort = "want HOST:PORT, with a port from 0 (any that is free) to 65535"
	for _, test := range []struct {
		args string
		want string
	}{
		{"--p-crash 1.3", "--p-crash 1.3: want 0 to 1"},
		{"--p-crash=-0.1", "--p-crash -0.1: want 0 to 1"},
		{"--p-crash -0.1", "--p-crash -0.1: want 0 to 1"},
		{"--p-crash NaN", "--p-crash NaN: want 0 to 1"},
		{"--p-crash 30%", `--p-crash "30%": want 0 to 1`},
		{"--p-crash", "--p-crash: want a value; see counterd --help"},
		{"--nosuch", "unknown flag --nosuch; see counterd --help"},
		{"--error-probability 2", "--error-probability 2: want 0 to 1"},
		{"--error-code OK", `--error-code "OK": want the name of a gRPC status other than OK, such as UNAVAILABLE`},
		{"--capacity -1", `--capacity "-1": want a whole number from 0`},
		{"--crash-point never", `--crash-point "never": want arrival or reply`},
		{"--service-time 50", `--service-time "50": ` + distribution},
		{"--service-time -50ms", `--service-time "-50ms": ` + distribution},
		{"--service-time normal:50ms", `--service-time "normal:50ms": ` + distribution},
		{"--service-time uniform:500ms:50ms", `--service-time "uniform:500ms:50ms": ` + distribution},
		{"--addr 127.0.0.1:65536", `--addr "127.0.0.1:65536": ` + hostPort},
		{"--addr 127.0.0.1", `--addr "127.0.0.1": ` + hostPort},
		{"--addr 127.0.0.1:", `--addr "127.0.0.1:": ` + hostPort},
		{"--addr 0.0.0.0:0", `--addr: "0.0.0.0:0": ` + transport.ErrExposed.Error()},
		{"--addr 127.0.0.1:0 --fault-listen :0", `--fault-listen: ":0": ` + transport.ErrExposed.Error()},
		{"--fault-listen 7201", `--fault-listen "7201": ` + hostPort + ", or none"},
		{"--tls-cert=", `--tls-cert "": want the path of a file`},
		{"--tls-cert server.crt", "--tls-cert: want its key in --tls-key"},
		{"--tls-client-ca ca.crt", "--tls-client-ca: want --tls-cert and --tls-key with it"},
		{"--tls-cert no/such --tls-key no/such", "--tls-cert: open no/such: no such file or directory"},
		{"--replica=", `--replica "": want a name without spaces, such as a`},
		{"--incarnation 0", `--incarnation "0": want a whole number from 1`},
		{"INCARNATION=first", `INCARNATION "first": want a whole number from 1`},
		{"CRASHLAB_INCARNATION=first", `CRASHLAB_INCARNATION "first": want a whole number from 1`},
		{"--seed -1", `--seed "-1": want a whole number from 0`},
		{"--drain-timeout 5", `--drain-timeout "5": want a duration with its unit, such as 500ms or 2s, 0s or more`},
		{"--drain-timeout -5s", `--drain-timeout "-5s": want a duration with its unit, such as 500ms or 2s, 0s or more`},
		{"--log-level loud", `--log-level "loud": want trace, debug, info, warn, error or off`},
		{"--p-crush 0.3", "unknown flag --p-crush: did you mean --p-crash? See counterd --help"},
		{"7101", "unexpected argument 7101; see counterd --help"},
	} {
		var stdout, stderr strings.Builder
		cmd := exec.CommandContext(patiently(t), binary)
		if strings.Contains(test.args, "INCARNATION=") {
			cmd.Env = append(os.Environ(), test.args)
		} else {
			cmd.Args = append(cmd.Args, strings.Fields(test.args)...)
		}
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != 2 {
			t.Errorf("counterd %s: exit code %d, want 2", test.args, code)
		}
		if got, want := stderr.String(), "counterd: "+test.want+"\n"; got != want || stdout.Len() > 0 {
			t.Errorf("counterd %s prints\n%s%swant\n%s", test.args, stdout.String(), got, want)
		}
	}
}
