package integration

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"example.com/crashlab/client/browsertest"
	faultv1 "example.com/crashlab/gen/fault/v1"
	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
)

// watched is a cluster and a page that shows it.
type watched struct {
	*controlled
	page *browsertest.Tab
	live *process
	url  string
}

// watch starts a cluster, crashlab live for it, and a tab with the page.
func watch(t *testing.T) *watched {
	t.Helper()
	page := browsertest.Open(t)
	file := write(t, strings.Replace(healthy, "--log-json", "--log-json, \"--service-time=uniform:100ms:200ms\"", 1))
	w := &watched{controlled: startControlled(t, file), page: page}
	w.live = start(t, "crashlab", "live", "--control="+w.control, "--listen=127.0.0.1:0", "--runs="+t.TempDir())
	w.live.await(&w.live.stdout, "URL", func(line string) (found bool) {
		w.url, found = strings.CutPrefix(line, "Open ")
		return found
	})
	page.View(1280, "light")
	page.Load(w.url)
	for _, name := range []string{"a", "b", "c"} {
		w.untilText("[data-replica="+name+"]", "ready")
	}
	return w
}

func (w *watched) untilText(selector, part string) {
	w.page.T.Helper()
	w.page.Until(fmt.Sprintf("document.querySelector(%q)?.innerText.includes(%q)", selector, part))
}

func (w *watched) press(selector string) {
	w.page.T.Helper()
	box := w.page.Box(selector)
	w.page.Do(chromedp.MouseClickXY(box.X+box.Width/2, box.Y+box.Height/2))
}

// enter changes the value of a field, as a user does.
func (w *watched) enter(selector, value string) {
	w.page.T.Helper()
	browsertest.Evaluate[bool](w.page, fmt.Sprintf(`((e) => {
		e.value = %[2]q;
		e.dispatchEvent(new Event("input", {bubbles: true}));
		return e.dispatchEvent(new Event("change", {bubbles: true}));
	})(document.querySelector(%[1]q))`, selector, value))
}

// The page shows that a replica that was killed by its button dies and comes back, and that a call
// that was lost with it continues at another replica.
func TestPageShowsAKill(t *testing.T) {
	long(t, "4 s of a browser and a cluster")
	t.Parallel()
	w := watch(t)
	browsertest.Evaluate[bool](w.page, `(() => {
		const state = document.querySelector("[data-replica=a] .state");
		document.querySelector("[data-replica=a] [data-do=kill]").addEventListener("click", () => { window.killed = performance.now(); });
		new MutationObserver(() => { window.seen ??= window.killed && performance.now(); }).observe(state, {childList: true, characterData: true, subtree: true});
		return true;
	})()`)
	way := ""
	// Once is enough unless the replica has no call in flight, as on a machine that stalls.
	for n := 1; !strings.Contains(way, "\tlost\t"); n++ {
		w.press("[data-replica=a] [data-do=kill]")
		if e := w.awaitEvent("exited", 0, n); e.exit() != "SIGKILL" {
			t.Errorf("a ended with %s, want SIGKILL", e.exit())
		}
		w.untilText("[data-replica=a]", fmt.Sprintf("#%d", n+1))
		w.untilText("[data-replica=a]", "ready")
		way = w.lostCall()
	}
	t.Logf("from the click until the page shows it: %.0f ms", browsertest.Evaluate[float64](w.page, "(window.seen ?? 0) - window.killed"))
	w.untilText("#marks", "kill a")
	for _, part := range []string{"Call ", "\ta", "\tlost\t", "\tok\t"} {
		if !strings.Contains(way, part) {
			t.Errorf("the attempts of the call have no %q:\n%s", part, way)
		}
	}
	w.page.MustBeQuiet(w.origin())
}

// lostCall steps through the calls in trouble to one that has lost an attempt, and returns its
// attempts.
func (w *watched) lostCall() (way string) {
	w.page.T.Helper()
	for range 50 {
		w.press("[data-step=trouble]")
		w.page.Until(`document.querySelector("#way").ariaBusy === "false"`)
		if way = w.page.Text("#way"); strings.Contains(way, "\tlost\t") {
			break
		}
	}
	return way
}

func (w *watched) origin() string {
	before, _, _ := strings.Cut(w.url, "#")
	return before
}

// Each control of the page affects the running cluster.
func TestPageControlsTheCluster(t *testing.T) {
	long(t, "6 s of a browser and a cluster")
	t.Parallel()
	w := watch(t)

	w.press("[data-replica=b] [data-do=stop]")
	w.untilText("[data-replica=b]", "hung")
	w.press("[data-replica=b] [data-do=continue]")
	w.untilText("[data-replica=b]", "ready")
	w.press("[data-replica=c] [data-do=restart]")
	w.awaitEvent("exited", 2, 1)
	w.untilText("[data-replica=c]", "#2")

	w.enter("#faulty", "b")
	w.enter("[data-field=error_probability] input", "0.5")
	faults := faultv1.NewFaultClient(w.dial(1))
	w.page.Until(`document.querySelector("[data-field=error_probability]").dataset.value === "0.5"`)
	if got, err := faults.Get(patiently(t), &faultv1.GetRequest{}); err != nil || got.Faults.ErrorProbability != 0.5 {
		t.Errorf("the faults of b are %v, %v: want an error probability of 0.5", got, err)
	}

	w.enter("[data-field=delay] input", "2s")
	w.page.Until(`document.querySelector("[data-field=delay]").dataset.value === "2s"`)
	w.enter("[data-field=replicas] input", "2")
	w.page.Until(`document.querySelectorAll("#heads .head").length === 2`)
	list, err := w.List(patiently(t), &supervisorv1.ListRequest{})
	if err != nil || len(list.Replicas) != 2 || list.Replicas[0].Policy.Delay.AsDuration() != 2*time.Second {
		t.Errorf("the supervisor has %v, %v: want two replicas with a delay of 2s", list, err)
	}

	w.press(".load[data-load=B] [data-preset=recommended]")
	w.press(".load[data-load=B] .switch")
	w.untilText(".figures-of[data-load=B]", "B · recommended")
	w.enter(".load[data-load=B] [data-field=concurrency] input", "3")
	w.untilText(".figures-of[data-load=B] [data-term=waiting]", "of 3 calls")
	w.press("#record")
	w.untilText("#record", "Stop recording")
	w.press(".guide summary")
	w.press(".guide button")
	w.page.Until(`!document.querySelector("#scene").hidden`)
	w.press("#scene button")
	w.page.Until(`document.querySelector("#scene").hidden`)
	w.press("#record")
	w.untilText("#messages", "crashlab report")
	message := strings.Fields(w.page.Text("#messages p"))
	code, out, problem := run(t, "crashlab", "report", message[slices.Index(message, "report")+1], "--format=json")
	if code != 0 || !strings.Contains(out, "success") {
		t.Errorf("the report of the recording ends with %d: %s%s", code, out, problem)
	}
	w.page.MustBeQuiet(w.origin())
}

// The page says that its cluster has ended.
func TestPageOutlivesItsCluster(t *testing.T) {
	long(t, "4 s of a browser and a cluster")
	t.Parallel()
	w := watch(t)
	w.stop()
	w.untilText("#messages", "not under control")
	w.live.signal(os.Interrupt)
	if code := w.live.exitCode(); code != 0 && code != 130 {
		t.Errorf("crashlab live ends with %d", code)
	}
	w.untilText("#connection", "lost")
}
