package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alecthomas/kong"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
)

// The calls start at the requested time, and not before.
func TestStartAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s startTime
		at := time.Now().Add(90*time.Second + 300*time.Millisecond).Truncate(time.Millisecond)
		if err := s.UnmarshalText([]byte(at.In(time.FixedZone("", 3600)).Format(time.RFC3339Nano))); err != nil {
			t.Fatal(err)
		}
		if err := s.await(t.Context()); err != nil || !time.Now().Equal(at) {
			t.Errorf("it began at %v, %v; want %v", time.Now(), err, at)
		}
		err := s.await(t.Context())
		if e, ok := errors.AsType[*exit](err); !ok || e.code != exitFailed || !strings.Contains(e.message, "passed before the replicas were connected") {
			t.Errorf("a time that has passed: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := (startTime{time.Now().Add(time.Hour)}).await(ctx); err != interrupted {
			t.Errorf("after Ctrl-C: %v", err)
		}
	})
}

// A load is saved with all its calls and their attempts, and the report of its folder has the
// numbers that the load printed.
func TestSave(t *testing.T) {
	t.Parallel()
	var c counter
	folder := filepath.Join(t.TempDir(), "saved")
	args := []string{"load", "-n", "30", "-c", "3", "--wait=10m", "--timeout=0s", "--json", "--save", folder, "--target", c.serve(t)}
	if code, _, stderr := crashlab(t.Context(), args...); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	run, err := record.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(run.Trials) != 1 || len(run.Trials[0].Calls) != 30 || run.Manifest.Engine != record.EngineLoad || run.Manifest.Ended.IsZero() {
		t.Fatalf("%+v", run.Manifest)
	}
	for _, call := range run.Trials[0].Calls {
		if call.Result != record.ResultOK || len(call.Attempts) != 1 || call.Attempts[0].Replica != call.Replica {
			t.Errorf("%+v", call)
		}
	}
	code, stdout, stderr := crashlab(t.Context(), "report", folder, "--format=json")
	if code != 0 || !strings.Contains(stdout, `"violations": []`) || !strings.Contains(stdout, `"calls": 30`) {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	code, _, stderr = crashlab(t.Context(), args...)
	if code != exitUsage || !strings.Contains(stderr, "--save "+`"`+folder+`": want a new folder, or an empty one`) {
		t.Errorf("an existing folder: exit code %d, %s", code, stderr)
	}
}

// The design of a saved load has every flag of its policy and its plan, so that loads that differ
// in one can be told apart, and made again.
func TestSaveRecordsEveryFlag(t *testing.T) {
	designOf := func(args ...string) (saved string, flags []*kong.Flag) {
		var cli commandLine
		parsed, err := program.Parse(&cli, append([]string{"load"}, args...), io.Discard, io.Discard, kong.Resolvers(kong.ResolverFunc(recommend)))
		if err != nil {
			t.Fatal(err)
		}
		plan, err := cli.Load.plan()
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(cli.Load.design(plan))
		if err != nil {
			t.Fatal(err)
		}
		var d design.Design
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		s := d.Cells[0].Settings
		got := s.Plan(d.Seed)
		if plan.Rate > 0 {
			got.Workers = plan.Workers // which have no meaning
		}
		if got != plan {
			t.Errorf("%v: the saved plan is %+v, want %+v", args, got, plan)
		}
		made := s.Policy()
		made.ResolveEvery = resolveEvery
		if want := cli.Load.policy.failover(); !reflect.DeepEqual(made, want) {
			t.Errorf("%v: the saved policy is %+v, want %+v", args, made, want)
		}
		return string(text), parsed.Selected().Flags
	}
	base := []string{"--rate=5", "--arrivals=poisson"}
	args := map[string][]string{ // flags that need others
		"concurrency": {"--concurrency=9"}, "rate": {"--rate=7", "--arrivals=poisson"}, "arrivals": {"--rate=5", "--arrivals=constant"},
		"policy": slices.Concat(base, []string{"--policy=recommended"}), "only-unsent": slices.Concat(base, []string{"--only-unsent"}),
	}
	for flag, value := range map[string]string{
		"calls": "7", "duration": "1m", "warmup": "1s", "seed": "9", "timeout": "3ms", "deadline": "1h", "rounds": "7", "pause": "1ms",
		"order": "sticky", "when-down": "wait", "max-in-flight": "adaptive", "budget": "0.3", "budget-per-second": "2.5",
		"budget-burst": "7", "eject-after": "0", "hedge-after": "1ms",
	} {
		args[flag] = slices.Concat(base, []string{"--" + flag + "=" + value})
	}
	plain, flags := designOf(base...)
	for _, f := range flags {
		if f.Group == nil || f.Name == "start-at" || !strings.HasPrefix(f.Group.Key, "Policy") && f.Group.Key != "Load" {
			continue // what the load is shall be saved; not when, at what target, or how it is shown
		}
		if args[f.Name] == nil {
			t.Errorf("--%s: no value to test it with", f.Name)
			continue
		}
		if saved, _ := designOf(args[f.Name]...); saved == plain {
			t.Errorf("%v: saved like %v", args[f.Name], base)
		}
	}
}

func TestShardOfAnIndexedJob(t *testing.T) {
	parse := func(text string) (shard, error) {
		var s shard
		err := s.UnmarshalText([]byte(text))
		return s, err
	}
	os.Unsetenv(indexEnv)
	if _, err := parse("/4"); err == nil || !strings.Contains(err.Error(), "want an index before the slash, or JOB_COMPLETION_INDEX") {
		t.Errorf("without the variable: %v", err)
	}
	t.Setenv(indexEnv, "3")
	if s, err := parse("/4"); err != nil || s != (shard{3, 4}) {
		t.Errorf("/4 is %v, %v", s, err)
	}
	if s, err := parse("1/4"); err != nil || s != (shard{1, 4}) {
		t.Errorf("1/4 is %v, %v", s, err)
	}
	for text, value := range map[string]string{"/3": "3", "/4": "x"} {
		t.Setenv(indexEnv, value)
		if _, err := parse(text); err == nil || !strings.Contains(err.Error(), "with the index from JOB_COMPLETION_INDEX") {
			t.Errorf("%s with %s: %v", text, value, err)
		}
	}
}
