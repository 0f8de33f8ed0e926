package report

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover"
)

// failedOver returns a call of the trial that lost an attempt and then succeeded, and whose first bar is long enough to
// be hit.
func failedOver(t testing.TB, c *trialTable) (call int) {
	t.Helper()
	for _, a := range c.attempts {
		call := c.calls[a.call]
		if a.Outcome == failover.OutcomeLost && a.Duration > 100*time.Millisecond && a.Number == 1 && len(call.Attempts) == 2 && call.Result == record.OK {
			return a.call
		}
	}
	t.Fatal("no call of the trial has failed over")
	return 0
}

// middleOf returns where the middle of a call's first bar is in the page, in CSS pixels.
func middleOf(b *browser, c *trialTable, call int) (x, y float64) {
	b.t.Helper()
	box := b.box("#lanes .u-over")
	for _, a := range c.attempts {
		if a.call == call && a.Number == 1 {
			replica := c.replicas[a.Replica]
			share := float64(a.Start+a.Duration/2) / float64(c.end)
			lane := (0.06 + 0.88*(float64(a.row)+0.4)/float64(c.rows[replica]) + float64(replica)) / float64(len(c.names))
			return box.x + share*box.width, box.y + lane*box.height
		}
	}
	b.t.Fatalf("call %d has no first attempt", call)
	return 0, 0
}

type box struct{ x, y, width, height float64 }

// box scrolls to an element and returns where it is in the window.
func (b *browser) box(selector string) box {
	b.t.Helper()
	v := evaluate[[]float64](b, fmt.Sprintf(`((e) => {
		e.scrollIntoView({block: "center", behavior: "instant"});
		const {x, y, width, height} = e.getBoundingClientRect();
		return [x, y, width, height];
	})(document.querySelector(%q))`, selector))
	return box{v[0], v[1], v[2], v[3]}
}

func (b *browser) text(selector string) string {
	b.t.Helper()
	return evaluate[string](b, fmt.Sprintf("document.querySelector(%q).innerText", selector))
}

func TestPage(t *testing.T) {
	t.Parallel()
	b := openBrowser(t)
	b.view(1280, "light")
	run := madeRun(everyday)
	address := b.load(run, summaryOf(run))
	b.mustBeQuiet(address)

	shown := run.Trials[telling(run.Trials)-1]
	c := trialTableOf(shown)
	call := failedOver(t, c)
	t.Run("click", func(t *testing.T) {
		b.do(chromedp.MouseClickXY(middleOf(b, c, call)))
		way := b.text("#way")
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
		b.do(chromedp.Focus("#lanes"), chromedp.KeyEvent(kb.ArrowRight))
		if want := fmt.Sprintf("Call %d:", c.calls[call+1].Number); !strings.HasPrefix(b.text("#way"), want) {
			t.Errorf("the right arrow shows %.30q, want %s", b.text("#way"), want)
		}
	})
	t.Run("a moment is at one place", func(t *testing.T) {
		lanes := b.box("#lanes .u-over")
		for _, chart := range []string{"#latency", "#outcomes"} {
			if other := b.box(chart + " .u-over"); other.x != lanes.x || other.width != lanes.width {
				t.Errorf("%s begins at %v and is %v wide, the lanes at %v and %v", chart, other.x, other.width, lanes.x, lanes.width)
			}
		}
	})
	t.Run("zoom", func(t *testing.T) {
		box := b.box("#latency .u-over")
		from, to, y := box.x+0.4*box.width, box.x+0.6*box.width, box.y+box.height/2
		b.do(
			chromedp.MouseEvent(input.DispatchMouseEventTypeMousePressed, from, y, chromedp.ButtonLeft),
			chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, to, y, chromedp.ButtonLeft),
			chromedp.MouseEvent(input.DispatchMouseEventTypeMouseReleased, to, y, chromedp.ButtonLeft),
			chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, box.x, y),
		)
		evaluate[bool](b, painted)
		// At the left edge of the other charts is now the time that was at two fifths.
		other := b.box("#outcomes .u-over")
		b.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, other.x+1, other.y+5))
		evaluate[bool](b, painted)
		second := math.Floor(0.4*c.end.Seconds()*4) / 4
		if readout, want := b.text("#outcomes-readout"), fmt.Sprintf("%.2f to", second); !strings.HasPrefix(readout, want) {
			t.Errorf("at the left edge after the zoom: %q, want %s", readout, want)
		}
	})
	t.Run("theme", func(t *testing.T) {
		surface := `getComputedStyle(document.querySelector("section")).backgroundColor`
		before := evaluate[string](b, surface)
		box := b.box("#theme")
		b.do(chromedp.MouseClickXY(box.x+box.width/2, box.y+box.height/2))
		if after := evaluate[string](b, surface); after == before || evaluate[string](b, "document.documentElement.dataset.theme") != "dark" {
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
		evaluate[bool](b, fmt.Sprintf(`%s("cell", "selectedIndex", %d)`, choose, other.Cell))
		evaluate[bool](b, fmt.Sprintf(`%s("choose", "value", %d)`, choose, other.Number))
		counts := map[failover.Outcome]int{}
		for _, call := range other.Calls {
			for _, a := range call.Attempts {
				counts[a.Outcome]++
			}
		}
		for _, o := range failover.Outcomes() {
			got := b.text(fmt.Sprintf("[data-outcome=%v] b", o))
			if want := fmt.Sprint(counts[o]); got != want {
				t.Errorf("%v: the key says %s, want %s", o, got, want)
			}
		}
		if got, want := evaluate[string](b, `document.getElementById("cell").value`), run.Manifest.Design.Cells[other.Cell].Title(); got != want {
			t.Errorf("the cell is %q, want %q", got, want)
		}
	})
	t.Run("print", func(t *testing.T) {
		const width = `document.querySelector("#lanes .uplot").getBoundingClientRect().width`
		screen := evaluate[float64](b, width)
		evaluate[bool](b, `dispatchEvent(new Event("beforeprint"))`)
		// What changed on the screen a moment before may be noticed only now.
		evaluate[string](b, `document.getElementById("lanes").style.width = "1000px"`)
		evaluate[bool](b, painted)
		if paper := evaluate[float64](b, width); paper > 740 {
			t.Errorf("on paper a chart is %v px wide, and so cut off", paper)
		}
		evaluate[string](b, `document.getElementById("lanes").style.width = ""`)
		evaluate[bool](b, `dispatchEvent(new Event("afterprint"))`)
		if _, err := chromedp.Run(b, chromedp.PrintToPDF()); err != nil {
			t.Error(err)
		}
		evaluate[bool](b, painted)
		if after := evaluate[float64](b, width); after != screen {
			t.Errorf("after printing a chart is %v px wide, want %v as before", after, screen)
		}
		if theme := evaluate[string](b, "document.documentElement.dataset.theme"); theme != "dark" {
			t.Errorf("after printing the theme is %s", theme)
		}
	})
	b.mustBeQuiet(address)
}

// widest is the elements that reach beyond a page that can be scrolled sideways.
const widest = `(() => {
	const width = document.documentElement.clientWidth;
	if (document.documentElement.scrollWidth <= Math.min(width, 390)) return "";
	const wide = [...document.querySelectorAll("body *")].filter((e) => !e.closest(".wide") && Math.max(e.getBoundingClientRect().right, e.scrollWidth) > 390);
	return document.documentElement.scrollWidth + " px: " + wide.map((e) => e.tagName + "." + e.className + "#" + e.id).join(", ");
})()`

// instead is what the page says where there is nothing to be drawn.
var instead = map[string]string{
	"no calls":   "This trial has no calls to show.",
	"no trial":   "No trial has ended, so there is nothing to show.",
	"no success": "No call has succeeded, so there is no latency to show.",
}

// Whatever the run, nothing breaks, no figure is missing its number, and a phone shows it without scrolling sideways.
func TestPageOfAnyRun(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: 4 s of a browser")
	}
	t.Parallel()
	tabs := make(chan *browser, 4)
	for range cap(tabs) {
		b := openBrowser(t)
		b.view(390, "dark")
		tabs <- b
	}
	for name, p := range anyRuns() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := <-tabs
			defer func() { tabs <- b }()
			b.t = t
			run := madeRun(p)
			summary := experiment.Summarize(run)
			if err := summary.AddPrediction(run); err != nil {
				t.Fatal(err)
			}
			address := b.load(run, summary)
			evaluate[bool](b, `(document.querySelector("[data-step=trouble]")?.click(), true)`)
			b.mustBeQuiet(address)
			text := b.text("body")
			if !strings.Contains(text, instead[name]) {
				t.Errorf("the page does not say %q", instead[name])
			}
			for _, bad := range []string{"NaN", "Inf", "undefined", "null", "<nil>"} {
				if strings.Contains(text, bad) {
					t.Errorf("the page says %s: %q", bad, text)
				}
			}
			if wide := evaluate[string](b, widest); wide != "" {
				t.Errorf("wider than the screen: %s", wide)
			}
			if theme := evaluate[string](b, "document.documentElement.dataset.theme"); theme != "dark" {
				t.Errorf("the theme is %s, want the dark one that the system prefers", theme)
			}
		})
	}
}

// Of 50,000 calls the one that is clicked is shown. BenchmarkPage says how soon.
func TestPageOfFiftyThousandCalls(t *testing.T) {
	t.Parallel()
	b := openBrowser(t)
	b.view(1280, "light")
	run := madeRun(fiftyThousand)
	address := b.load(run, summaryOf(run))
	c := trialTableOf(run.Trials[0])
	call := failedOver(t, c)
	b.do(chromedp.MouseClickXY(middleOf(b, c, call)))
	if way, want := b.text("#way"), fmt.Sprintf("Call %d:", c.calls[call].Number); !strings.HasPrefix(way, want) {
		t.Errorf("a click shows %.40q, want %s", way, want)
	}
	b.mustBeQuiet(address)
}

// BenchmarkPage measures what a user of a run of 50,000 calls waits for, from the start of loading: the verdict, and the
// pictures of the trial; and from a click to what it shows.
func BenchmarkPage(b *testing.B) {
	tab := openBrowser(b)
	tab.view(1280, "light")
	run := madeRun(fiftyThousand)
	summary := summaryOf(run)
	c := trialTableOf(run.Trials[0])
	var verdict, pictures, answer float64
	for b.Loop() {
		tab.load(run, summary)
		opened := evaluate[[]float64](tab, `(async () => [
			performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0,
			await new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(performance.now())))),
		])()`)
		x, y := middleOf(tab, c, failedOver(b, c))
		evaluate[bool](tab, `(() => {
			const over = document.querySelector("#lanes .u-over");
			over.addEventListener("click", () => { window.clicked = performance.now(); }, {capture: true});
			window.answered = new Promise((done) => over.addEventListener("click", () =>
				requestAnimationFrame(() => setTimeout(() => done(performance.now() - window.clicked)))));
			return true;
		})()`)
		tab.do(chromedp.MouseClickXY(x, y))
		verdict, pictures, answer = verdict+opened[0], pictures+opened[1], answer+evaluate[float64](tab, "window.answered")
	}
	b.ReportMetric(verdict/float64(b.N), "ms/verdict")
	b.ReportMetric(pictures/float64(b.N), "ms/pictures")
	b.ReportMetric(answer/float64(b.N), "ms/click")
}
