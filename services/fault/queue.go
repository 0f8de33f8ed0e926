package fault

import (
	"container/list"
	"context"
	"sync"

	"google.golang.org/grpc/status"
)

// queue limits the number of requests that are worked on at a time; the others wait for a place,
// first come first served. A nil queue has no limit.
type queue struct {
	mu      sync.Mutex
	free    int       // places; if there are any, no request waits
	waiting list.List // of chan struct{}, closed once its request has a place
}

func newQueue(capacity int) *queue {
	if capacity == 0 {
		return nil
	}
	return &queue{free: capacity}
}

// enter returns once the request has a place, or with the status of ctx, and without a place, if
// that ends first. A request that has a place must leave.
func (q *queue) enter(ctx context.Context) error {
	if q == nil {
		return nil
	}
	q.mu.Lock()
	if q.free > 0 {
		q.free--
		q.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	place := q.waiting.PushBack(turn)
	q.mu.Unlock()

	select {
	case <-turn:
	case <-ctx.Done():
	}
	if ctx.Err() == nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-turn: // it got a place at the same time
		q.next()
	default:
		q.waiting.Remove(place)
	}
	return status.FromContextError(ctx.Err()).Err()
}

func (q *queue) leave() {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.next()
}

// next gives a place to the request that has waited longest. q.mu is held.
func (q *queue) next() {
	if first := q.waiting.Front(); first != nil {
		close(q.waiting.Remove(first).(chan struct{}))
		return
	}
	q.free++
}
