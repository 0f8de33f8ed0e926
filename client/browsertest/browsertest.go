// Package browsertest drives a Chromium in the tests of pages and records errors and requests of a
// page. Only tests may import it.
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

// chromium starts the browser, which all tests share; each opens its own tabs.
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
		options = append(options, chromedp.NoSandbox) // Chromium's sandbox does not run as root
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

// Main is a TestMain: it runs the tests, ends the browser, and exits.
func Main(m *testing.M) {
	code := m.Run()
	End()
	os.Exit(code)
}

// End ends the browser if a test has started it.
func End() { endChromium() }

// Tab is a browser tab that records requests and errors of its page.
type Tab struct {
	context.Context
	T testing.TB

	mu       sync.Mutex
	requests []string // URLs
	problems []string // errors and messages on the console
}

// Open opens a tab and closes it at the end of the test. It skips the test if there is no browser.
func Open(t testing.TB) *Tab {
	t.Helper()
	root, err := chromium()
	if err != nil {
		t.Skip(err)
	}
	b := &Tab{T: t}
	ctx, end := chromedp.NewContext(root, chromedp.WithListener(b.onEvent))
	t.Cleanup(end)
	b.Context = ctx
	return b
}

func (b *Tab) onEvent(event any) {
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

// Do executes steps in the tab. It fails the test if one fails.
func (b *Tab) Do(steps ...chromedp.Action[chromedp.Void]) {
	b.T.Helper()
	if err := chromedp.Do(b, steps...); err != nil {
		b.T.Fatal(err)
	}
}

// Evaluate returns the value of a JavaScript expression in the page. It awaits promises.
func Evaluate[T any](b *Tab, expression string) T {
	b.T.Helper()
	v, err := chromedp.Run(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.T.Fatalf("%s: %v", expression, err)
	}
	return v
}

// View sets the width of the screen in pixels and the preferred theme, light or dark.
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

const patience = 2 * time.Minute // only a hang can reach it

// Until waits until a JavaScript expression is true in the page. It fails the test after two
// minutes.
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
		b.T.Fatalf("not true after %v: %s\nThe page:\n%.2000s", patience, expression, b.Text("body"))
	}
}

// Box is the position and size of an element in the window, in pixels.
type Box struct{ X, Y, Width, Height float64 }

// Box scrolls to an element and returns its box.
func (b *Tab) Box(selector string) Box {
	b.T.Helper()
	v := Evaluate[[]float64](b, fmt.Sprintf(`((e) => {
		e.scrollIntoView({block: "center", behavior: "instant"});
		const {x, y, width, height} = e.getBoundingClientRect();
		return [x, y, width, height];
	})(document.querySelector(%q))`, selector))
	return Box{v[0], v[1], v[2], v[3]}
}

// Text returns the visible text of an element.
func (b *Tab) Text(selector string) string {
	b.T.Helper()
	return Evaluate[string](b, fmt.Sprintf("document.querySelector(%q).innerText", selector))
}

// Painted is an expression that waits until changes of the page have been painted.
const Painted = `new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(true))))`

// TooWide returns an expression that lists the elements wider than the given width in pixels. Its
// value is empty if the page cannot be scrolled sideways.
func TooWide(width int64) string {
	return fmt.Sprintf(`(() => {
	const width = Math.min(document.documentElement.clientWidth, %d);
	if (document.documentElement.scrollWidth <= width) return "";
	const wide = [...document.querySelectorAll("body *")].filter((e) => !e.closest(".wide") && Math.max(e.getBoundingClientRect().right, e.scrollWidth) > width);
	return document.documentElement.scrollWidth + " px: " + wide.map((e) => e.tagName + "." + e.className + "#" + e.id).join(", ");
})()`, width)
}

// MustBeQuiet fails the test if the page has had an error or has requested a URL that does not
// begin with the address.
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
			b.T.Errorf("the page requested %s", r)
		}
	}
	if len(b.requests) == 0 {
		b.T.Error("recorded no request, not even the one for the page")
	}
	b.problems = nil
}
