package main

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/supervisor/commandline/commandlinetest"
)

func TestHelpPages(t *testing.T) {
	t.Setenv("COLUMNS", "")
	t.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0")
	page := func(args ...string) string {
		p := prepare(nil, args...)
		text, err := p.Output()
		if err != nil || p.stderr.Len() > 0 {
			t.Errorf("%q: %v, %s", args, err, &p.stderr)
		}
		return string(text)
	}
	commandlinetest.CheckPages(t, program, func() any { return new(commandLine) }, page)
}

// The flags on the page of load are those of failover.Recommended.
func TestRecommendedFlags(t *testing.T) {
	var cli commandLine
	parser, err := kong.New(&cli)
	if err != nil {
		t.Fatal(err)
	}
	flags := strings.Fields(strings.ReplaceAll(recommendedFlags, "\\\n", ""))
	if _, err := parser.Parse(append([]string{"load"}, flags...)); err != nil {
		t.Fatal(err)
	}
	want := failover.Recommended()
	want.Ejection.After = 3 // which the zero value means
	want.Hedge.Share = 1    // which means nothing without After
	want.ResolveEvery = resolveEvery
	if got := cli.Load.policy.failover(); !reflect.DeepEqual(got, want) {
		t.Errorf("%s\nmake %+v\nwant %+v", recommendedFlags, got, want)
	}
	if cli.Load.Deadline == 0 {
		t.Error("the calls have no deadline")
	}
}
