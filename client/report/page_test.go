package report

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"example.com/crashlab/client/browsertest"
	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover"
)

func TestMain(m *testing.M) { browsertest.Main(m) }

// failedOver returns a call that lost its first attempt and succeeded with its second, and whose
// first bar is long enough to be clicked.
func failedOver(t testing.TB, c *trialTable) (call int) {
	t.Helper()
	for _, a := range c.attempts {
		call := c.calls[a.call]
		if a.Outcome == failover.OutcomeLost && a.Duration > 100*time.Millisecond && a.Number == 1 && len(call.Attempts) == 2 && call.Result == record.ResultOK {
			return a.call
		}
	}
	t.Fatal("no call of the trial has failed over")
	return 0
}

// middleOf returns the position of the middle of a call's first bar in the page, in CSS pixels.
func middleOf(b *browsertest.Tab, c *trialTable, call int) (x, y float64) {
	b.T.Helper()
	box := b.Box("#lanes .u-over")
	for _, a := range c.attempts {
		if a.call == call && a.Number == 1 {
			replica := c.replicas[a.Replica]
			share := float64(a.Start+a.Duration/2) / float64(c.end)
			lane := (0.06 + 0.88*(float64(a.row)+0.4)/float64(c.rows[replica]) + float64(replica)) / float64(len(c.names))
			return box.X + share*box.Width, box.Y + lane*box.Height
		}
	}
	b.T.Fatalf("call %d has no first attempt", call)
	return 0, 0
}

// load opens the run's report from a file and returns its address.
func load(b *browsertest.Tab, run *record.Run, summary experiment.Summary) string {
	b.T.Helper()
	path := filepath.Join(b.T.TempDir(), "report.html")
	f, err := os.Create(path)
	if err != nil {
		b.T.Fatal(err)
	}
	if err := HTML(f, run, summary); err != nil {
		b.T.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.T.Fatal(err)
	}
	b.Load("file://" + path)
	return "file://" + path
}

func TestPage(t *testing.T) {
	t.Parallel()
	b := browsertest.Open(t)
	b.View(1280, "light")
	run := madeRun(everyday)
	summary := summaryOf(run)
	address := load(b, run, summary)
	b.MustBeQuiet(address)

	shown := run.Trials[shownFirst(summary)-1]
	c := trialTableOf(shown)
	call := failedOver(t, c)
	t.Run("click", func(t *testing.T) {
		b.Do(chromedp.MouseClickXY(middleOf(b, c, call)))
		way := b.Text("#way")
		want := c.calls[call]
		for _, part := range []string{
			fmt.Sprintf("Call %d: ok", want.Number),
			fmt.Sprintf("1\t1\t%s\t", want.Attempts[0].Replica), "lost\tsent\tUNAVAILABLE",
			fmt.Sprintf("2\t1\t%s\t", want.Attempts[1].Replica), "ok\tsent\tOK",
		} {
			if !strings.Contains(way, part) {
				t.Errorf("a click on call %d shows no %q, but:\n%s", want.Number, part, way)
			}
		}
	})
	t.Run("keys", func(t *testing.T) {
		b.Do(chromedp.Focus("#lanes"), chromedp.KeyEvent(kb.ArrowRight))
		if want := fmt.Sprintf("Call %d:", c.calls[call+1].Number); !strings.HasPrefix(b.Text("#way"), want) {
			t.Errorf("the right arrow shows %.30q, want %s", b.Text("#way"), want)
		}
	})
	t.Run("a moment is at one place", func(t *testing.T) {
		lanes := b.Box("#lanes .u-over")
		for _, chart := range []string{"#latency", "#outcomes"} {
			if other := b.Box(chart + " .u-over"); other.X != lanes.X || other.Width != lanes.Width {
				t.Errorf("%s begins at %v and is %v wide, the lanes at %v and %v", chart, other.X, other.Width, lanes.X, lanes.Width)
			}
		}
	})
	t.Run("zoom", func(t *testing.T) {
		box := b.Box("#latency .u-over")
		from, to, y := box.X+0.4*box.Width, box.X+0.6*box.Width, box.Y+box.Height/2
		b.Do(
			chromedp.MouseEvent(input.DispatchMouseEventTypeMousePressed, from, y, chromedp.ButtonLeft),
			chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, to, y, chromedp.ButtonLeft),
			chromedp.MouseEvent(input.DispatchMouseEventTypeMouseReleased, to, y, chromedp.ButtonLeft),
			chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, box.X, y),
		)
		browsertest.Evaluate[bool](b, browsertest.Painted)
		// The left edge of the other charts now shows the time that was at two fifths.
		other := b.Box("#outcomes .u-over")
		b.Do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, other.X+1, other.Y+5))
		browsertest.Evaluate[bool](b, browsertest.Painted)
		second := math.Floor(0.4*c.end.Seconds()*4) / 4
		if readout, want := b.Text("#outcomes-readout"), fmt.Sprintf("%.2f to", second); !strings.HasPrefix(readout, want) {
			t.Errorf("at the left edge after the zoom: %q, want %s", readout, want)
		}
	})
	t.Run("theme", func(t *testing.T) {
		surface := `getComputedStyle(document.querySelector("section")).backgroundColor`
		before := browsertest.Evaluate[string](b, surface)
		box := b.Box("#theme")
		b.Do(chromedp.MouseClickXY(box.X+box.Width/2, box.Y+box.Height/2))
		if after := browsertest.Evaluate[string](b, surface); after == before || browsertest.Evaluate[string](b, "document.documentElement.dataset.theme") != "dark" {
			t.Errorf("the button leaves the surface %s", after)
		}
	})
	t.Run("another trial", func(t *testing.T) {
		other := run.Trials[0]
		const choose = `((id, key, value) => {
			const select = document.getElementById(id);
			select[key] = value;
			return select.dispatchEvent(new Event("change"));
		})`
		browsertest.Evaluate[bool](b, fmt.Sprintf(`%s("cell", "selectedIndex", %d)`, choose, other.Cell))
		browsertest.Evaluate[bool](b, fmt.Sprintf(`%s("choose", "value", %d)`, choose, other.Number))
		counts := map[failover.Outcome]int{}
		for _, call := range other.Calls {
			for _, a := range call.Attempts {
				counts[a.Outcome]++
			}
		}
		for _, o := range failover.Outcomes() {
			got := b.Text(fmt.Sprintf("[data-outcome=%v] b", o))
			if want := fmt.Sprint(counts[o]); got != want {
				t.Errorf("%v: the key says %s, want %s", o, got, want)
			}
		}
		if got, want := browsertest.Evaluate[string](b, `document.getElementById("cell").value`), run.Manifest.Design.Cells[other.Cell].Title(); got != want {
			t.Errorf("the cell is %q, want %q", got, want)
		}
	})
	t.Run("print", func(t *testing.T) {
		const width = `document.querySelector("#lanes .uplot").getBoundingClientRect().width`
		screen := browsertest.Evaluate[float64](b, width)
		browsertest.Evaluate[bool](b, `dispatchEvent(new Event("beforeprint"))`)
		// A change on the screen just before may be noticed only now.
		browsertest.Evaluate[string](b, `document.getElementById("lanes").style.width = "1000px"`)
		browsertest.Evaluate[bool](b, browsertest.Painted)
		if paper := browsertest.Evaluate[float64](b, width); paper > 740 {
			t.Errorf("on paper a chart is %v px wide, and so cut off", paper)
		}
		browsertest.Evaluate[string](b, `document.getElementById("lanes").style.width = ""`)
		browsertest.Evaluate[bool](b, `dispatchEvent(new Event("afterprint"))`)
		if _, err := chromedp.Run(b, chromedp.PrintToPDF()); err != nil {
			t.Error(err)
		}
		browsertest.Evaluate[bool](b, browsertest.Painted)
		if after := browsertest.Evaluate[float64](b, width); after != screen {
			t.Errorf("after printing a chart is %v px wide, want %v as before", after, screen)
		}
		if theme := browsertest.Evaluate[string](b, "document.documentElement.dataset.theme"); theme != "dark" {
			t.Errorf("after printing the theme is %s", theme)
		}
	})
	b.MustBeQuiet(address)
}

// instead has the texts that the page shows in place of missing charts.
var instead = map[string]string{
	"no calls":   "This trial has no calls to show.",
	"no trial":   "No trial has ended, so there is nothing to show.",
	"no success": "No call succeeded, so there is no latency to show.",
}

// Whatever the run, nothing breaks, every figure has its number, and a phone shows the page without
// scrolling sideways.
func TestPageOfAnyRun(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: 4 s of a browser")
	}
	t.Parallel()
	tabs := make(chan *browsertest.Tab, 4)
	for range cap(tabs) {
		b := browsertest.Open(t)
		b.View(390, "dark")
		tabs <- b
	}
	for name, p := range anyRuns() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := <-tabs
			defer func() { tabs <- b }()
			b.T = t
			run := madeRun(p)
			summary := experiment.Summarize(run)
			if err := summary.AddPrediction(run); err != nil {
				t.Fatal(err)
			}
			address := load(b, run, summary)
			browsertest.Evaluate[bool](b, `(document.querySelector("[data-step=trouble]")?.click(), true)`)
			b.MustBeQuiet(address)
			text := b.Text("body")
			if !strings.Contains(text, instead[name]) {
				t.Errorf("the page does not say %q", instead[name])
			}
			for _, bad := range []string{"NaN", "Inf", "undefined", "null", "<nil>"} {
				if strings.Contains(text, bad) {
					t.Errorf("the page says %s: %q", bad, text)
				}
			}
			if wide := browsertest.Evaluate[string](b, browsertest.TooWide(390)); wide != "" {
				t.Errorf("wider than the screen: %s", wide)
			}
			if theme := browsertest.Evaluate[string](b, "document.documentElement.dataset.theme"); theme != "dark" {
				t.Errorf("the theme is %s, want the dark one that the system prefers", theme)
			}
		})
	}
}

// A click shows the right one of 50,000 calls. BenchmarkPage measures how fast.
func TestPageOfFiftyThousandCalls(t *testing.T) {
	t.Parallel()
	b := browsertest.Open(t)
	b.View(1280, "light")
	run := madeRun(fiftyThousand)
	address := load(b, run, summaryOf(run))
	c := trialTableOf(run.Trials[0])
	call := failedOver(t, c)
	b.Do(chromedp.MouseClickXY(middleOf(b, c, call)))
	if way, want := b.Text("#way"), fmt.Sprintf("Call %d:", c.calls[call].Number); !strings.HasPrefix(way, want) {
		t.Errorf("a click shows %.40q, want %s", way, want)
	}
	b.MustBeQuiet(address)
}

// BenchmarkPage measures how long a user of a run of 50,000 calls waits: from the start of loading
// to the first paint and to the charts, and from a click to its effect.
func BenchmarkPage(b *testing.B) {
	tab := browsertest.Open(b)
	tab.View(1280, "light")
	run := madeRun(fiftyThousand)
	summary := summaryOf(run)
	c := trialTableOf(run.Trials[0])
	var verdict, pictures, answer float64
	for b.Loop() {
		load(tab, run, summary)
		opened := browsertest.Evaluate[[]float64](tab, `(async () => [
			performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0,
			await new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(performance.now())))),
		])()`)
		x, y := middleOf(tab, c, failedOver(b, c))
		browsertest.Evaluate[bool](tab, `(() => {
			const over = document.querySelector("#lanes .u-over");
			over.addEventListener("click", () => { window.clicked = performance.now(); }, {capture: true});
			window.answered = new Promise((done) => over.addEventListener("click", () =>
				requestAnimationFrame(() => setTimeout(() => done(performance.now() - window.clicked)))));
			return true;
		})()`)
		tab.Do(chromedp.MouseClickXY(x, y))
		verdict, pictures, answer = verdict+opened[0], pictures+opened[1], answer+browsertest.Evaluate[float64](tab, "window.answered")
	}
	b.ReportMetric(verdict/float64(b.N), "ms/verdict")
	b.ReportMetric(pictures/float64(b.N), "ms/pictures")
	b.ReportMetric(answer/float64(b.N), "ms/click")
}
