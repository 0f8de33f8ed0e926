package design

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/workload"
)

const example = `
name: timeout
question: How does the deadline
  of an attempt matter?
answer: The longer,
  the better.
seed: 7
repeats: 10
parallel: 2
factors:
  p_crash: 0.30
  timeout: [100ms, 1000ms]
  restart_delay: none
  service_time: exp:1000ms
  order: [first, sticky]
rows:
  - {name: original, when_down: attempt}
  - {name: waiting, when_down: wait, deadline: 60s, restart_delay: 1s}
schedule:
  - {at: 5s, signal: cont}
  - {at: 3s, signal: stop, replicas: [a, c]}
claims:
  - success >= 99.9%
  - {claim: p99<=2s, where: {row: waiting, timeout: 1s, p_crash: .3}}
`

func must(t *testing.T, text string, o Overrides) *Design {
	t.Helper()
	d, err := read("dir/a file.yaml", []byte(text), o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(path, []byte(example), 0o666); err != nil {
		t.Fatal(err)
	}
	d, err := Load(path, Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	var titles []string
	for _, c := range d.Cells {
		titles = append(titles, c.Title())
	}
	want := []string{
		"original, timeout 100ms, order first", "original, timeout 100ms, order sticky",
		"original, timeout 1s, order first", "original, timeout 1s, order sticky",
		"waiting, timeout 100ms, order first", "waiting, timeout 100ms, order sticky",
		"waiting, timeout 1s, order first", "waiting, timeout 1s, order sticky",
	}
	if !slices.Equal(titles, want) {
		t.Errorf("cells %q, want %q", titles, want)
	}
	s := Defaults()
	s.PCrash, s.Order, s.WhenDown, s.Deadline, s.RestartDelay = 0.3, failover.OrderSticky, failover.WhenDownWait, time.Minute, time.Second
	s.ServiceTime.UnmarshalText([]byte("exp:1s"))
	if d.Cells[7].Settings != s {
		t.Errorf("settings %+v, want %+v", d.Cells[7].Settings, s)
	}
	if d.Name != "timeout" || d.Question != "How does the deadline of an attempt matter?" || d.Answer != "The longer, the better." || d.Seed != 7 || d.Repeats != 10 ||
		d.Parallel != 2 || d.Source != example {
		t.Errorf("the head is %+v", d)
	}
	schedule := []Disturbance{{3 * time.Second, syscall.SIGSTOP, []string{"a", "c"}}, {5 * time.Second, syscall.SIGCONT, nil}}
	if !reflect.DeepEqual(d.Schedule, schedule) {
		t.Errorf("schedule %v, want %v", d.Schedule, schedule)
	}
	claims := []Claim{
		{Success, true, 0.999, nil, "success >= 99.9%"},
		{P99, false, 2, map[string]string{"row": "waiting", "timeout": "1s", "p_crash": "0.3"}, "p99 <= 2s"},
	}
	if !reflect.DeepEqual(d.Claims, claims) {
		t.Errorf("claims %+v, want %+v", d.Claims, claims)
	}
	for i, c := range d.Cells {
		if got, want := claims[1].Matches(c), i >= 6; got != want || !claims[0].Matches(c) {
			t.Errorf("cell %d: matches %v, want %v; the other %v, want true", i, got, want, claims[0].Matches(c))
		}
	}
}

func TestJSONKeepsTheDesign(t *testing.T) {
	d := must(t, example, Overrides{})
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var got Design
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(&got, d) {
		t.Errorf("got %+v, want %+v", got, *d)
	}
	for _, part := range []string{
		`{"at":"3s","signal":"stop","replicas":["a","c"]}`, `"levels":[{"factor":"timeout","value":"100ms"}`,
		`"restart_delay":"none"`, `{"claim":"success \u003e= 99.9%"}`,
	} {
		if !strings.Contains(string(text), part) {
			t.Errorf("no %s in %s", part, text)
		}
	}
}

func TestListsMultiply(t *testing.T) {
	d := must(t, "factors: {replicas: [2, 3], timeout: [1s, 2s], rounds: [3, 1], calls: [5, 6], p_crash: [0, 1]}", Overrides{})
	settings := make(map[Settings]bool)
	for _, c := range d.Cells {
		settings[c.Settings] = true
		for _, l := range c.Levels {
			if value, _ := c.Settings.Value(l.Factor); value != l.Value {
				t.Errorf("%s: the setting is %s", c.Title(), value)
			}
		}
	}
	if len(d.Cells) != 32 || len(settings) != 32 {
		t.Errorf("%d cells, %d of them different; want 32", len(d.Cells), len(settings))
	}
}

func TestDefaults(t *testing.T) {
	d := must(t, "factors: {timeout: [2s]}", Overrides{})
	s := Defaults()
	s.Timeout = 2 * time.Second
	want := &Design{Name: "a-file", Seed: 1, Repeats: 5, Parallel: 1, Cells: []Cell{{Settings: s}}, Source: "factors: {timeout: [2s]}"}
	if !reflect.DeepEqual(d, want) {
		t.Errorf("got %+v, want %+v", d, want)
	}
	if got := d.Cells[0].Title(); got != "all trials" {
		t.Errorf("title %q", got)
	}
	if calls := must(t, "factors: {duration: 5s}", Overrides{}).Cells[0].Settings.Calls; calls != 0 {
		t.Errorf("%d calls in a design that names a duration, want 0: any number", calls)
	}
}

func TestMistakes(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"", "x.yaml: it is empty: want KEY: value"},
		{"a\nb", "x.yaml:1:1: "},
		{"nam: x", `x.yaml:1:1: unknown key "nam": want one of name, question, answer, seed, `},
		{"seed: 1\nseed: 2", `x.yaml:2:1: want YAML: mapping key "seed" already defined at [1:1]`},
		{"seed: -1", `x.yaml:1:7: seed "-1": want a whole number from 0 to`},
		{"seed:", "x.yaml:1:1: seed has no value"},
		{"name: ../x", `x.yaml:1:7: name "../x": want up to 64 letters`},
		{"repeats: [1]", `x.yaml:1:10: "[": want a single value`},
		{"repeats: &a 1", `x.yaml:1:10: "&": want a single value`},
		{"factors: 3", `x.yaml:1:10: "3": want KEY: value`},
		{"factors:\n  timout: 3s", `x.yaml:2:3: unknown factor "timout": want one of replicas, p_crash, `},
		{"factors:\n  timeout: 3", `x.yaml:2:12: timeout "3": want a duration with its unit`},
		{"factors: {p_crash: 1.5}", `x.yaml:1:20: p_crash "1.5": want a number from 0 to 1`},
		{"factors: {p_crash: .nan}", `x.yaml:1:20: p_crash ".nan": want a number from 0 to 1`},
		{"factors: {restart_delay: never}", `restart_delay "never": want a duration with its unit, such as 500ms or 2s, 0s or more, or none`},
		{"factors: {max_in_flight: -1}", `max_in_flight "-1": want a whole number from 0 to 1000000, or adaptive`},
		{"factors: {arrivals: now, rate: 1}", `arrivals "now": want constant or poisson`},
		{"factors: {only_unsent: yes}", `only_unsent "yes": want true or false`},
		{"factors: {rate: 0.000000001, calls: 50}", `x.yaml:1:17: rate "0.000000001": want 0, or a number from 0.001 to 1000000`},
		{"factors: {rate: -1}", `x.yaml:1:17: rate "-1": want 0, or a number from 0.001 to 1000000`},
		{"factors: {rate: 0.001, calls: 31537}", "x.yaml:1:24: calls 31537: want at most 31536 at 0.001 calls a second"},
		{"factors: {concurrency: 100001}", `concurrency "100001": want a whole number from 1 to 100000`},
		{"schedule: [{at: 8761h, signal: stop}]", `x.yaml:1:17: at "8761h": want a duration with its unit, from 0s to 8760h`},
		{"factors: {timeout: []}", "x.yaml:1:20: an empty list"},
		{"factors: {timeout: [1s, 1000ms]}", "x.yaml:1:25: timeout 1s is in the list twice"},
		{"factors: {timeout: [[1s]]}", `x.yaml:1:21: "[": want a single value`},
		{"factors: {calls: 0}", "x.yaml:1:11: calls 0 and duration 0s: want one of them above"},
		{"factors: {duration: 5s, warmup: 5s}", "x.yaml:1:25: warmup 5s: want less than the duration of 5s"},
		{"factors: {calls: 100, rate: 10, warmup: 10s}", "x.yaml:1:33: warmup 10s: want less, as all 100 calls are due in it"},
		{"factors: {rate: [0, 5], concurrency: 5}", "x.yaml:1:25: concurrency 5: has no meaning beside the rate 5"},
		{"factors: {arrivals: poisson}", "x.yaml:1:11: arrivals: have no meaning in a closed loop"},
		{"factors: {rounds: [1, 2]}\nrows: [{name: x, rounds: 3}]", `x.yaml:2:18: rounds is in the row "x" and a list in factors`},
		{"rows: [{rounds: 3}]", "a row without a name"},
		{"rows: [{name: x}, {name: x}]", `x.yaml:1:26: row "x": a row above has this name`},
		{"rows: [{name: x, rounds: [3]}]", "x.yaml:1:18: rounds has a list"},
		{"schedule: [{at: 1s}]", "a disturbance without a time or a signal"},
		{"schedule: [{at: 1s, signal: hup}]", `x.yaml:1:29: signal "hup": want stop, cont, kill or term`},
		{"schedule: [{at: 1s, signal: stop, replicas: d}]", `replica "d": want a to c`},
		{"schedule: [{at: 5s, signal: stop}]\nfactors: {duration: 5s}", "at 5s: want less than the duration of 5s"},
		{"claims: [p99 < 2s]", `x.yaml:1:10: claim "p99 < 2s": want METRIC >= THRESHOLD`},
		{"claims: [p95 <= 2s]", `claim "p95 <= 2s": unknown metric "p95": want one of success, successes, p50`},
		{"claims: [p99 <= 2]", `claim "p99 <= 2": threshold "2": want a duration`},
		{"claims: [success >= 101%]", `claim "success >= 101%": threshold "101%": want a share from 0 to 1`},
		{"answer: [yes]\nclaims: [tries >= 1]", `x.yaml:1:9: "[": want a single value`},
		{"question: Why?\nanswer: Because.", "x.yaml:2:9: answer: nothing supports it: want claims"},
		{"claims: [{where: {rounds: 3}}]", "no claim: want claim: METRIC >= THRESHOLD"},
		{"claims: [{claim: tries >= 1, where: {timout: 3s}}]", `unknown factor "timout": want one of`},
		{"claims: [{claim: tries >= 1, where: {row: x}}]", `no cell has the row "x": want none`},
		{"claims: [{claim: tries >= 1, where: {rounds: 2}}]", `no cell has the rounds "2": want 3`},
		{
			"rows: [{name: x, rounds: 1}, {name: y, rounds: 2}]\nclaims: [{claim: tries >= 1, where: {row: x, rounds: 2}}]",
			`the claim "tries >= 1" applies to no cell`,
		},
		{"factors: {timeout: [1s, 2s]}\nrepeats: 5001", "x.yaml: too many trials, 5001 repeats of all combinations: want at most 10000"},
		{"name: x\n---\nname: y", "x.yaml:3:"},
	} {
		_, err := read("x.yaml", []byte(tc.text), Overrides{})
		m, ok := errors.AsType[*Mistake](err)
		if !ok || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error %v, want one line with %q", tc.text, err, tc.want)
		} else if strings.HasPrefix(m.Name, "x.yaml:") && (!strings.Contains(m.Excerpt, ">  ") || !strings.Contains(m.Excerpt, "^")) {
			t.Errorf("%q: excerpt %q, want lines and a mark", tc.text, m.Excerpt)
		}
	}
}

// The slowest open loop is that of package workload.
func TestSlowestRate(t *testing.T) {
	s := must(t, "factors: {rate: 0.001, calls: 31536}", Overrides{}).Cells[0].Settings
	if err := s.Plan(1).Validate(); err != nil || s.Rate != workload.MinRate {
		t.Errorf("rate %v: %v", s.Rate, err)
	}
}

func TestExcerptPointsAtTheValue(t *testing.T) {
	_, err := read("x.yaml", []byte("name: x\r\nfactors:\r\n\t\r\n  timeout: 3\r\n"), Overrides{})
	_, err2 := read("x.yaml", []byte("name: x\nfactors:\n  timeout: 3\n"), Overrides{})
	if err == nil {
		t.Error("a tab as indentation is no mistake")
	}
	m, _ := errors.AsType[*Mistake](err2)
	if want := "   1 | name: x\n   2 | factors:\n>  3 |   timeout: 3\n                  ^"; m == nil || m.Excerpt != want {
		t.Errorf("%v, want the excerpt\n%s", m, want)
	}
}

func TestOverrides(t *testing.T) {
	set := func(levels ...string) Overrides {
		var o Overrides
		for i := 0; i < len(levels); i += 2 {
			o.Set = append(o.Set, Level{levels[i], levels[i+1]})
		}
		return o
	}
	d := must(t, example, set("timeout", "3000ms"))
	if len(d.Cells) != 4 || d.Cells[0].Title() != "original, order first" || d.Cells[0].Settings.Timeout != 3*time.Second {
		t.Errorf("cells %+v", d.Cells)
	}
	if len(d.Claims) != 1 {
		t.Errorf("claims %+v, want the one about all cells alone", d.Claims)
	}
	if len(d.LeftOut) != 2 || !strings.HasPrefix(d.LeftOut[0], "the claim ") || !strings.HasPrefix(d.LeftOut[1], "the answer: ") || d.Answer != "" {
		t.Errorf("left out %q, want the other claim and the answer that rests on it; the answer is %q", d.LeftOut, d.Answer)
	}
	d = must(t, example, set("when_down", "wait", "deadline", "1m", "restart_delay", "2s"))
	if len(d.Cells) != 4 || d.Cells[3].Row != "original" || d.Cells[0].Settings.Deadline != time.Minute {
		t.Errorf("cells %+v, want those of the two rows as one", d.Cells)
	}
	if len(d.LeftOut) < 4 || !strings.HasPrefix(d.LeftOut[0], `the cell "waiting, `) || !strings.Contains(d.LeftOut[0], `equals "original, `) {
		t.Errorf("left out %q, want the four cells of the second row first", d.LeftOut)
	}
	d = must(t, example, Overrides{Seed: new(uint64(9)), Repeats: 3, Parallel: 4})
	if d.Seed != 9 || d.Repeats != 3 || d.Parallel != 4 || len(d.Cells) != 8 {
		t.Errorf("got %+v", d)
	}
	if d = must(t, example, Overrides{Seed: new(uint64)}); d.Seed != 0 || d.Trials()[0].Seed == 0 {
		t.Errorf("with seed 0: %d, and the first trial's %d", d.Seed, d.Trials()[0].Seed)
	}
	for want, o := range map[string]Overrides{
		`timeout=3: timeout "3": want a duration`:                    set("timeout", "3"),
		`x=3: unknown factor "x"`:                                    set("x", "3"),
		"concurrency=2: concurrency 2: has no meaning":               {Set: []Level{{"rate", "5"}, {"concurrency", "2"}}},
		"at 5s: want less than the duration of 4s":                   set("duration", "4s"),
		"repeats=-1: want 1 to 10000":                                {Repeats: -1},
		"x.yaml: too many trials, 10000 repeats of all combinations": {Repeats: 10000},
		"parallel=101: want 1 to 100":                                {Parallel: 101},
		"seed=9007199254740992: want 0 to 9007199254740991":          {Seed: new(uint64(1 << 53))},
	} {
		if _, err := read("x.yaml", []byte(example), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q", o, err, want)
		}
	}
}

func TestTrials(t *testing.T) {
	d := must(t, example, Overrides{})
	trials := d.Trials()
	seen := make(map[[2]int]bool)
	seeds := make(map[uint64]bool)
	for i, tr := range trials {
		seen[[2]int{tr.Cell, tr.Repeat}] = true
		seeds[tr.Seed] = true
		if tr.Number != i+1 || tr.Repeat != i/8+1 || tr.Seed == 0 || tr.Seed >= 1<<53 || tr.Seed != trials[tr.Repeat*8-1].Seed {
			t.Errorf("trial %d is %+v", i, tr)
		}
	}
	if len(trials) != 80 || len(seen) != 80 || len(seeds) != 10 {
		t.Errorf("%d trials, %d of them different, %d seeds; want 80, 80, 10", len(trials), len(seen), len(seeds))
	}
	if !slices.Equal(trials, d.Trials()) {
		t.Error("equal designs, other trials")
	}
	other := must(t, example, Overrides{Seed: new(uint64(8))}).Trials()
	order := func(trials []Trial) (cells []int) {
		for _, tr := range trials {
			cells = append(cells, tr.Cell)
		}
		return cells
	}
	if slices.Equal(order(trials), order(other)) || slices.Equal(order(trials)[:8], order(trials)[8:16]) || trials[0].Seed == other[0].Seed {
		t.Error("another seed or repeat, the same order or luck")
	}
}

// The bundled designs are valid, begin with a comment, and answer a question.
func TestBundledDesigns(t *testing.T) {
	paths, _ := filepath.Glob("../../../deploy/experiments/*.yaml")
	cells := make(map[string]int)
	for _, path := range paths {
		d, err := Load(path, Overrides{})
		if err != nil {
			t.Error(err)
			continue
		}
		cells[d.Name] = len(d.Cells)
		if !strings.HasPrefix(d.Source, "# ") || !strings.HasSuffix(d.Question, "?") {
			t.Errorf("%s: want a comment first, and a question", path)
		}
		// The question of validation is answered by its prediction rather than by claims.
		if d.Answer == "" && d.Name != "validation" {
			t.Errorf("%s: want an answer, and claims that support it", path)
		}
	}
	want := map[string]int{
		"quick": 3, "first-steps": 8, "seed": 10, "crash-probability": 16, "timeout": 6, "validation": 30, "concurrency": 6, "policies": 12, "overload": 2, "contention": 6, "signals": 2,
	}
	if !maps.Equal(cells, want) {
		t.Errorf("designs and their cells %v, want %v", cells, want)
	}
}

func TestCrashesWithoutRelaunch(t *testing.T) {
	relaunched := Overrides{Set: []Level{{"restart_delay", "1s"}}}
	for _, tt := range []struct {
		text string
		o    Overrides
		want string // the beginning; empty: no warning
	}{
		{"factors: {p_crash: 0.1}", Overrides{}, "p_crash is 0.1 and there is no restart_delay (all trials): "},
		{"factors: {p_crash: 0.1}", relaunched, ""},
		{"factors: {p_crash: 0}", Overrides{}, ""},
		{"factors: {timeout: 1s}", Overrides{Set: []Level{{"p_crash", "0.2"}}}, "p_crash is 0.2 "},
		{"factors: {p_crash: [0, 0.1, 0.3]}", Overrides{}, "p_crash is 0.1 and there is no restart_delay (p_crash 0.1): "},
		{"factors: {p_crash: 0.1, restart_delay: none}", Overrides{}, ""},
		{"rows: [{name: a, p_crash: 0.1, restart_delay: none}, {name: b, p_crash: 0.3}]", Overrides{}, "p_crash is 0.3 and there is no restart_delay (b): "},
	} {
		d := must(t, tt.text, tt.o)
		if len(d.Warnings) > 1 || (len(d.Warnings) == 1) != (tt.want != "") || tt.want != "" && !strings.HasPrefix(d.Warnings[0], tt.want) {
			t.Errorf("%s, %+v: %q, want %q", tt.text, tt.o.Set, d.Warnings, tt.want)
		}
	}
}
