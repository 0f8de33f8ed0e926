// Package counter implements the Counter service, which counts the calls it answers.
package counter

import (
	"context"
	"sync/atomic"

	counterv1 "example.com/crashlab/gen/counter/v1"
)

// Counter counts the calls of Get that one incarnation of a replica serves. The count is in memory
// and is lost with the process. Set the fields before the first call. The zero value is a counter
// without a name. A Counter is safe for concurrent use and must not be copied after its first use.
type Counter struct {
	counterv1.UnimplementedCounterServer

	// Replica is the name of the replica, such as "a". It is in every reply.
	Replica string
	// Incarnation is the number of this launch of the replica, from 1. It is in every reply.
	Incarnation uint64

	count atomic.Uint64
}

// Get adds one to the count and returns it. It never fails.
func (c *Counter) Get(context.Context, *counterv1.GetRequest) (*counterv1.GetResponse, error) {
	return &counterv1.GetResponse{
		Value:       c.count.Add(1),
		Replica:     c.Replica,
		Incarnation: c.Incarnation,
	}, nil
}

// Count returns the number of calls so far: the value of the latest reply.
func (c *Counter) Count() uint64 { return c.count.Load() }
