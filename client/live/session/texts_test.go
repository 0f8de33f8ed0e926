package session

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"example.com/crashlab/client/live"
)

// The text of a command has the words of the page: a button of a replica is the first of them, and
// names of fields are spelled as there.
func TestTextsUseTheWordsOfThePage(t *testing.T) {
	figures, err := os.ReadFile("../page/assets/figures.js")
	if err != nil {
		t.Fatal(err)
	}
	b := []string{"b"}
	commands := map[string]live.Command{
		"faults b: crash probability 0.5, hang true": {Do: live.ActionFaults, Replicas: b, Set: map[string]string{"hang": "true", "crash_probability": "0.5"}},
		"faults all: reset at next launch":           {Do: live.ActionFaults},
		"cluster: delay 2s":                          {Do: live.ActionRelaunch, Set: map[string]string{"delay": "2s"}},
		"cluster web: replicas 4":                    {Do: live.ActionScale, Group: "web", Count: new(4)},
		"start load B, recommended, max in flight 3": {Do: live.ActionLoad, Load: "B", On: new(true), Preset: "recommended", Set: map[string]string{"max_in_flight": "3"}},
		"stop load A":                                {Do: live.ActionLoad, On: new(false)},
		"load A, rounds 5":                           {Do: live.ActionLoad, Set: map[string]string{"rounds": "5"}},
		"record":                                     {Do: live.ActionRecord, On: new(true)},
		"stop recording":                             {Do: live.ActionRecord, On: new(false)},
		"begin " + live.Scenarios()[0].Title:         {Do: live.ActionScenario, Scenario: live.Scenarios()[0].Name},
		"end scenario":                               {Do: live.ActionScenario},
		"hang b, c":                                  {Do: live.ActionStop, Replicas: []string{"b", "c"}},
		"kill all":                                   {Do: live.ActionKill},
	}
	buttons := regexp.MustCompile(`\["(\w+)", "(\w+)"\]`).FindAllStringSubmatch(string(figures), -1)
	for _, button := range append(buttons, []string{"", "continue", "Continue"}) {
		commands[strings.ToLower(button[2])+" b"] = live.Command{Do: live.Action(button[1]), Replicas: b}
	}
	if len(buttons) != 3 || !strings.Contains(string(figures), `"Continue"`) {
		t.Errorf("the page has the buttons %q, want three and Continue", buttons)
	}
	for want, c := range commands {
		if got := actions[c.Do].text(c); got != want {
			t.Errorf("%+v is %q, want %q", c, got, want)
		}
	}
}

// A recording has every setting of a load for which designs have a factor.
func TestRecordingHasEveryFactor(t *testing.T) {
	set := map[string]string{
		"concurrency": "7", "rate": "12.5", "arrivals": "poisson", "deadline": "3s", "timeout": "1.5s", "rounds": "9", "pause": "10ms",
		"order": "sticky", "only_unsent": "true", "when_down": "wait", "max_in_flight": "3", "budget": "0.1", "budget_per_second": "2.5",
		"budget_burst": "11", "eject_after": "0", "hedge_after": "50ms",
	}
	settings, err := live.DefaultSettings().With("", set)
	if err != nil {
		t.Fatal(err)
	}
	recorded := (&load{settings: settings}).designSettings(nil, live.State{})
	for _, f := range live.SettingsFields() {
		if got, ok := recorded.Value(f.Name); ok && got != set[f.Name] {
			t.Errorf("%s is %q, want %q", f.Name, got, set[f.Name])
		}
	}
}
