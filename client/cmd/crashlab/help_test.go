package main

import (
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
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

// The flags of --policy recommended are those of failover.Recommended, and the page of load lists
// them. A flag that is given has its own value.
func TestRecommendedPolicy(t *testing.T) {
	parse := func(args ...string) policy {
		var cli commandLine
		_, err := program.Parse(&cli, append([]string{"load"}, args...), io.Discard, io.Discard, kong.Resolvers(kong.ResolverFunc(recommend)))
		if err != nil {
			t.Fatal(err)
		}
		return cli.Load.policy
	}
	listed := map[string]string{}
	for _, m := range regexp.MustCompile(`--([a-z-]+) ([^\s:]+)`).FindAllStringSubmatch(strings.SplitAfter(loadCmd{}.Help(), ":\n")[0], -1) {
		listed[m[1]] = m[2]
	}
	delete(listed, "policy")
	if !maps.Equal(listed, recommended) {
		t.Errorf("load --help lists %v, want %v", listed, recommended)
	}
	if p := parse("--policy", "recommended", "--budget", "0.5"); p.Budget != 0.5 || p.WhenDown != failover.WhenDownWait {
		t.Errorf("got budget %v, when down %v, want those of the flag and of the policy", p.Budget, p.WhenDown)
	}
	if p := parse(); p.Deadline != 0 || p.WhenDown != failover.WhenDownAttempt {
		t.Errorf("without a policy got deadline %v, when down %v", p.Deadline, p.WhenDown)
	}
	recommended := parse("--policy", "recommended")
	want := failover.Recommended()
	want.Ejection.After = 3 // which the zero value means
	want.Hedge.Share = 1    // which means nothing without After
	want.ResolveEvery = resolveEvery
	if got := recommended.failover(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if recommended.Deadline == 0 {
		t.Error("the calls have no deadline")
	}
}

// The list of factors and the plans of the designs here fit on 80 columns wherever they go.
func TestListsFit(t *testing.T) {
	t.Parallel()
	designs, err := filepath.Glob("../../../deploy/experiments/*.yaml")
	if err != nil || len(designs) == 0 {
		t.Fatal(designs, err)
	}
	commands := [][]string{{"experiment", "factors"}}
	for _, d := range designs {
		commands = append(commands, []string{"experiment", "run", "--dry-run", d})
	}
	for _, args := range commands {
		code, stdout, stderr := crashlab(t.Context(), args...)
		if code != 0 || stdout == "" {
			t.Errorf("%q: exit code %d, %s", args, code, stderr)
		}
		fits(t, stdout)
	}
}

func TestFold(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"", ""}, {"0123456789\n", "0123456789\n"}, {"one two 34\nfive\n", "one two 34\nfive\n"},
		{"one two 345\n", "one two\n  345\n"}, {"  one two 345 678 9 x", "  one two\n  345 678\n  9 x"},
		{"01234567890 x\n", "01234567890\n  x\n"}, {"  01234567890\n", "  01234567890\n"},
		{"é é é é é é\n", "é é é é é\n  é\n"}, {"a   01234567890   b\n", "a\n  01234567890\n  b\n"}, {"0123456789 \n", "0123456789 \n"},
	} {
		if got := fold(tc.text, 10, "  "); got != tc.want {
			t.Errorf("%q folds to %q, want %q", tc.text, got, tc.want)
		}
	}
}
