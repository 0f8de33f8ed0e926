// Package counter implements the Counter service.
package counter

import (
	"context"
	"sync/atomic"

	counterv1 "example.com/crashlab/gen/counter/v1"
)

// Counter counts the Gets that one incarnation of a replica serves. The count lives in memory and
// dies with the process. Set the fields before the first Get; the zero value counts too, without a
// name. It is safe for concurrent use and must not be copied after its first Get.
type Counter struct {
	counterv1.UnimplementedCounterServer

	// Replica is the name in every reply, such as "a".
	Replica string
	// Incarnation is the number in every reply: which launch of the replica this is, from 1.
	Incarnation uint64

	count atomic.Uint64
}

// Get adds one to the count and returns it, from 1. It never fails.
func (c *Counter) Get(context.Context, *counterv1.GetRequest) (*counterv1.GetResponse, error) {
	return &counterv1.GetResponse{
		Value:       c.count.Add(1),
		Replica:     c.Replica,
		Incarnation: c.Incarnation,
	}, nil
}

// Count returns how many Gets were counted: the value of the latest reply.
func (c *Counter) Count() uint64 { return c.count.Load() }
