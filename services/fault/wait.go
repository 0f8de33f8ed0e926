package fault

import (
	"context"
	"time"

	"google.golang.org/grpc/status"
)

// coarse is how late a timer of Go's may be on an idle machine: while nothing else happens, it is
// waited for by epoll, in whole milliseconds.
const coarse = 1500 * time.Microsecond

// wait returns after d, or with the status of ctx when that ends first; in the last moments it does
// not look at ctx. These the system's own sleep makes exact: it holds a thread, but at any time
// only for the requests that end within them.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	end := time.Now().Add(d)
	if d > coarse {
		timer := time.NewTimer(d - coarse)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-timer.C:
		}
	}
	sleepUntil(end)
	return status.FromContextError(ctx.Err()).Err()
}
