// Package browsertest drives a Chromium for the tests of pages, and notes what must not happen in
// one. Nothing but tests may import it.
package browsertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chromium starts the browser that all tests share; each has tabs of its own.
var chromium = sync.OnceValues(func() (context.Context, error) {
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "headless_shell"} {
		if path, _ = exec.LookPath(name); path != "" {
			break
		}
	}
	if path == "" {
		return nil, errors.New("no Chromium: want chromium, chromium-browser, google-chrome or headless_shell in PATH")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // it refuses root with its sandbox
	}
	ctx, _ := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ = chromedp.NewContext(ctx)
	endChromium = func() { _ = chromedp.Cancel(ctx) }
	if err := chromedp.Do(ctx); err != nil {
		return nil, fmt.Errorf("no Chromium: %s does not start: %w", path, err)
	}
	return ctx, nil
})

var endChromium = func() {}

// Main runs the tests of a package and ends the browser.
func Main(m *testing.M) {
	code := m.Run()
	End()
	os.Exit(code)
}

// End ends the browser, if a test has opened it.
func End() { endChromium() }

// Tab is a tab that notes what must not happen.
type Tab struct {
	context.Context
	T testing.TB

	mu       sync.Mutex
	requests []string // all that were made
	problems []string // errors, and what was written to the console
}

// Open opens a tab that is closed at the end of the test. Without a browser the test is skipped.
func Open(t testing.TB) *Tab {
	t.Helper()
	root, err := chromium()
	if err != nil {
		t.Skip(err)
	}
	b := &Tab{T: t}
	ctx, end := chromedp.NewContext(root, chromedp.WithListener(b.note))
	t.Cleanup(end)
	b.Context = ctx
	return b
}

func (b *Tab) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, (&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error())
	case *runtime.EventConsoleAPICalled:
		b.problems = append(b.problems, fmt.Sprintf("console: %s", e.Type))
	case *log.EventEntryAdded:
		b.problems = append(b.problems, e.Entry.Text)
	}
}

func (b *Tab) Do(steps ...chromedp.Action[chromedp.Void]) {
	b.T.Helper()
	if err := chromedp.Do(b, steps...); err != nil {
		b.T.Fatal(err)
	}
}

// Evaluate returns the value of an expression in the page.
func Evaluate[T any](b *Tab, expression string) T {
	b.T.Helper()
	v, err := chromedp.Run(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.T.Fatalf("%s: %v", expression, err)
	}
	return v
}

// View sets the width of the screen and the theme that the system prefers.
func (b *Tab) View(width int64, theme string) {
	b.T.Helper()
	b.Do(chromedp.EmulateViewport(width, 900), chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		feature := &emulation.MediaFeature{Name: "prefers-color-scheme", Value: theme}
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{feature}})
		return err
	}))
}

// Load opens a page and waits until its root has the attribute data-ready.
func (b *Tab) Load(address string) {
	b.T.Helper()
	b.mu.Lock()
	b.requests = nil
	b.mu.Unlock()
	b.Do(chromedp.Navigate(address))
	b.Until(`"ready" in document.documentElement.dataset`)
}

const patience = 2 * time.Minute // for what must happen, on a machine however slow

// Until waits until an expression is true in the page. The test fails when it does not become so.
func (b *Tab) Until(expression string) {
	b.T.Helper()
	if !Evaluate[bool](b, fmt.Sprintf(`new Promise((done) => {
		const end = performance.now() + %d;
		const look = () => {
			const is = %s;
			if (is || performance.now() > end) done(Boolean(is));
			else setTimeout(look, 20);
		};
		look();
	})`, patience.Milliseconds(), expression)) {
		b.T.Fatalf("after %v not yet: %s\nThe page:\n%.2000s", patience, expression, b.Text("body"))
	}
}

// Box is where an element is in the window.
type Box struct{ X, Y, Width, Height float64 }

// Box scrolls to an element and returns where it is.
func (b *Tab) Box(selector string) Box {
	b.T.Helper()
	v := Evaluate[[]float64](b, fmt.Sprintf(`((e) => {
		e.scrollIntoView({block: "center", behavior: "instant"});
		const {x, y, width, height} = e.getBoundingClientRect();
		return [x, y, width, height];
	})(document.querySelector(%q))`, selector))
	return Box{v[0], v[1], v[2], v[3]}
}

// Text returns the text of an element as it is to be read.
func (b *Tab) Text(selector string) string {
	b.T.Helper()
	return Evaluate[string](b, fmt.Sprintf("document.querySelector(%q).innerText", selector))
}

// Painted waits until what was changed has been painted.
const Painted = `new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(true))))`

// TooWide returns an expression for what reaches beyond a page of that width, in pixels, that can
// be scrolled sideways; its value is empty when it cannot.
func TooWide(width int64) string {
	return fmt.Sprintf(`(() => {
	const width = Math.min(document.documentElement.clientWidth, %d);
	if (document.documentElement.scrollWidth <= width) return "";
	const wide = [...document.querySelectorAll("body *")].filter((e) => !e.closest(".wide") && Math.max(e.getBoundingClientRect().right, e.scrollWidth) > width);
	return document.documentElement.scrollWidth + " px: " + wide.map((e) => e.tagName + "." + e.className + "#" + e.id).join(", ");
})()`, width)
}

// MustBeQuiet fails the test when the page has met an error, or has made a request for what is not
// at the address.
func (b *Tab) MustBeQuiet(address string) {
	b.T.Helper()
	Evaluate[bool](b, Painted)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.problems {
		b.T.Errorf("the page: %s", p)
	}
	for _, r := range b.requests {
		if !strings.HasPrefix(r, address) && !strings.HasPrefix(r, "data:") {
			b.T.Errorf("the page asked for %s", r)
		}
	}
	if len(b.requests) == 0 {
		b.T.Error("no request was seen, not even that for the page: the test sees nothing")
	}
	b.problems = nil
}
