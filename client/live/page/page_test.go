package page_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"example.com/crashlab/client/browsertest"
	"example.com/crashlab/client/live"
)

// untilText waits until an element's text contains part.
func (s *show) untilText(selector, part string) {
	s.T.Helper()
	s.Until(fmt.Sprintf("document.querySelector(%q)?.innerText.includes(%q)", selector, part))
}

// origin returns the prefix of all requests of the page.
func (s *show) origin() string { return strings.TrimSuffix(s.url, "#"+token) }

func (s *show) click(selector string) {
	s.T.Helper()
	box := s.Box(selector)
	s.Do(chromedp.MouseClickXY(box.X+box.Width/2, box.Y+box.Height/2))
}

// enter sets a field to a value, like a user who then leaves the field.
func (s *show) enter(selector, value string) {
	s.T.Helper()
	browsertest.Evaluate[bool](s.Tab, fmt.Sprintf(`((e) => {
		if (e.type === "checkbox") e.checked = %[2]q === "true";
		else e.value = %[2]q;
		e.dispatchEvent(new Event("input", {bubbles: true}));
		return e.dispatchEvent(new Event("change", {bubbles: true}));
	})(document.querySelector(%[1]q))`, selector, value))
}

// The figures and the lanes show the session's state and follow it.
func TestPageShowsState(t *testing.T) {
	t.Parallel()
	s := newShow(t, 1280, "light")
	s.untilText("[data-load=A] [data-term=success]", "100%")
	s.untilText("[data-load=B] .load-name", "B · recommended")
	s.untilText("[data-replica=b]", "● ready")
	s.play(12)
	s.untilText("[data-replica=b]", "○ down")
	s.untilText("#marks", "b")
	s.untilFigures() // before the next differences: a tab that gets too many at once gets a state instead
	s.play(-1)
	s.untilText("[data-replica=b]", "1 ✖")
	s.untilText("[data-replica=d]", "ready")
	s.untilFigures()
	s.Until(`document.querySelector("#terms dt")`)
	s.MustBeQuiet(s.origin())
}

// untilFigures waits until the figures are those of the state.
func (s *show) untilFigures() {
	s.T.Helper()
	for _, load := range s.made.State.Loads {
		share := float64(load.Recent.OK) / float64(load.Recent.OK+load.Recent.Failed)
		s.untilText("[data-load="+load.ID+"] [data-term=success]", fmt.Sprint(int(100*share)))
		s.untilText("[data-load="+load.ID+"] [data-term=rate]", fmt.Sprintf("%d calls", load.Total.OK+load.Total.Failed))
	}
}

// A click on an attempt shows the path of its call, and Escape hides it.
func TestPageShowsCall(t *testing.T) {
	t.Parallel()
	s := newShow(t, 1280, "light")
	s.play(-1)
	s.untilText("[data-replica=d]", "ready")
	// The pointer is a hand above a bar.
	at := browsertest.Evaluate[[]float64](s.Tab, `(() => {
		const lanes = document.querySelector("#lanes");
		lanes.scrollIntoView({block: "center", behavior: "instant"});
		const {x, y, width, height} = lanes.getBoundingClientRect();
		for (let dx = width - 20; dx > 200; dx -= 3) {
			for (let dy = 40; dy < height - 90; dy += 3) {
				const point = {clientX: x + dx, clientY: y + dy, bubbles: true};
				lanes.dispatchEvent(new PointerEvent("pointermove", point));
				if (lanes.style.cursor === "pointer") return [x + dx, y + dy];
			}
		}
		return [];
	})()`)
	if len(at) == 0 {
		t.Fatal("found no bar in the lanes")
	}
	s.Do(chromedp.MouseClickXY(at[0], at[1]))
	s.Until(`/^Call \d+/.test(document.querySelector("#way").innerText)`)
	s.Do(chromedp.Focus("#lanes"), chromedp.KeyEvent(kb.Escape))
	s.untilText("#way", "Click an attempt")
}

// The keys choose calls in trouble, and the page shows what the server knows about a call.
func TestPageDescribesCall(t *testing.T) {
	t.Parallel()
	s := newShow(t, 390, "dark")
	s.play(-1)
	s.untilText("[data-replica=d]", "ready")
	s.Do(chromedp.Focus("#lanes"))
	for range 200 { // until the call that the session knows is chosen
		s.Do(chromedp.KeyEvent(kb.ArrowUp))
		s.Until(`document.querySelector("#way").ariaBusy === "false"`)
		if strings.HasPrefix(s.Text("#way"), fmt.Sprintf("Call %d of load %s: ok", s.made.Way.Number, s.made.Way.Load)) {
			break
		}
	}
	for _, a := range s.made.Way.Attempts {
		s.untilText("#way", fmt.Sprintf("%s\t", a.Outcome))
		s.untilText("#way", "\t"+a.Replica)
	}
}

// A frozen picture does not change. When it continues, it shows the present state.
func TestPageFreezes(t *testing.T) {
	t.Parallel()
	s := newShow(t, 1280, "light")
	s.play(5)
	s.click("#freeze")
	s.untilText("#connection", "frozen")
	picture := `(() => {
		const canvas = document.querySelector("#lanes");
		return document.querySelector("#figures").innerText + canvas.toDataURL();
	})()`
	browsertest.Evaluate[bool](s.Tab, browsertest.Painted)
	before := browsertest.Evaluate[string](s.Tab, picture)
	s.play(-1)
	s.untilText("[data-replica=b]", "1 ✖")
	browsertest.Evaluate[bool](s.Tab, browsertest.Painted)
	if after := browsertest.Evaluate[string](s.Tab, picture); after != before {
		t.Error("the frozen picture has changed")
	}
	s.click("#freeze")
	s.untilText("#connection", "live")
	s.untilText("[data-replica=d]", "ready")
	browsertest.Evaluate[bool](s.Tab, browsertest.Painted)
	if after := browsertest.Evaluate[string](s.Tab, picture); after == before {
		t.Error("the picture did not continue")
	}
	s.MustBeQuiet(s.origin())
}

// Each control sends its command, and there is a control for every setting, fault and field of the
// restart policy.
func TestControls(t *testing.T) {
	t.Parallel()
	s := newShow(t, 1280, "light")
	on, off, four := true, false, 4
	set := func(name, value string) map[string]string { return map[string]string{name: value} }
	for _, c := range []struct {
		name string
		do   func()
		want live.Command
	}{
		{"kill", func() { s.click("[data-replica=b] [data-do=kill]") }, live.Command{Do: live.ActionKill, Replicas: []string{"b"}}},
		{"stop", func() { s.click("[data-replica=a] [data-do=stop]") }, live.Command{Do: live.ActionStop, Replicas: []string{"a"}}},
		{"restart", func() { s.click("[data-replica=c] [data-do=restart]") }, live.Command{Do: live.ActionRestart, Replicas: []string{"c"}}},
		{"a fault of all", func() { s.enter("[data-field=crash_probability] input", "0.5") }, live.Command{Do: live.ActionFaults, Set: set("crash_probability", "0.5")}},
		{"a slider", func() { s.enter("[data-field=error_probability] [type=range]", "0.25") }, live.Command{Do: live.ActionFaults, Set: set("error_probability", "0.25")}},
		{"a fault of one", func() {
			s.enter("#faulty", "b")
			s.enter("[data-field=hang] input", "true")
		}, live.Command{Do: live.ActionFaults, Replicas: []string{"b"}, Set: set("hang", "true")}},
		{"no faults", func() { s.click("#fault-fields > button") }, live.Command{Do: live.ActionFaults, Replicas: []string{"b"}}},
		{"scale", func() { s.enter("[data-field=replicas] input", "4") }, live.Command{Do: live.ActionScale, Count: &four}},
		{"restart delay", func() { s.enter("[data-field=delay] input", "2s") }, live.Command{Do: live.ActionRelaunch, Set: set("delay", "2s")}},
		{"a load off", func() { s.click(".load[data-load=B] .switch") }, live.Command{Do: live.ActionLoad, Load: "B", On: &off}},
		{"concurrency", func() { s.enter(".load[data-load=A] [data-field=concurrency] input", "20") }, live.Command{Do: live.ActionLoad, Load: "A", Set: set("concurrency", "20")}},
		{"preset", func() { s.click(".load[data-load=A] [data-preset=recommended]") }, live.Command{Do: live.ActionLoad, Load: "A", Preset: "recommended"}},
		{"compare", func() { s.click("#load-fields > button") }, live.Command{Do: live.ActionLoad, Load: "A", On: &on, Preset: "original"}},
		{"the other policy", func() {}, live.Command{Do: live.ActionLoad, Load: "B", On: &on, Preset: "recommended"}},
		{"order", func() { s.enter(".load[data-load=B] [data-field=order] select", "random") }, live.Command{Do: live.ActionLoad, Load: "B", Set: set("order", "random")}},
		{"record", func() { s.click("#record") }, live.Command{Do: live.ActionRecord, On: &on}},
		{"scenario", func() {
			s.click(".guide summary")
			s.click(".guide button")
		}, live.Command{Do: live.ActionScenario, Scenario: s.made.Guide.Scenarios[0].Name}},
	} {
		c.do()
		if got := s.next(); spell(got) != spell(c.want) {
			t.Errorf("%s sends %s, want %s", c.name, spell(got), spell(c.want))
		}
	}
	for selector, fields := range map[string][]live.Field{
		"#fault-fields": s.made.Guide.Faults, "#cluster-fields": s.made.Guide.Relaunch, ".load[data-load=A]": s.made.Guide.Settings, ".load[data-load=B]": s.made.Guide.Settings,
	} {
		names := browsertest.Evaluate[[]string](s.Tab, fmt.Sprintf(`[...document.querySelectorAll(%q)].map((e) => e.dataset.field)`, selector+" [data-field]"))
		for _, f := range fields {
			if !slices.Contains(names, f.Name) {
				t.Errorf("%s has no field for %s", selector, f.Name)
			}
		}
	}
	s.MustBeQuiet(s.origin())
}
