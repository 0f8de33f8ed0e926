package main

import (
	"reflect"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"example.com/crashlab/client/failover"
)

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
