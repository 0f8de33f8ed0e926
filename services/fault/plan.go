package fault

import (
	"crypto/sha256"
	"encoding/binary"
)

// Plan determines the random draws of one incarnation of a replica in advance: equal plans draw the
// same numbers, and plans that differ in any field draw independent ones.
type Plan struct {
	// Seed is the seed of the whole run. Any value is allowed.
	Seed uint64
	// Replica is the replica's name.
	Replica string
	// Incarnation is the number of the launch of the replica, from 1.
	Incarnation uint64
}

// Draws are the random numbers of one request, uniform in [0, 1), one for each random fault.
type Draws struct {
	// Crash crashes the request if it is below the crash probability, so that raising the
	// probability only adds crashes.
	Crash float64
	// Error makes the request fail with the error code if it is below the error probability.
	Error float64
	// ServiceTime is the quantile of the request's service time.
	ServiceTime float64
}

// Draws returns the random numbers of the k-th request to arrive, from 1. They depend only on p and
// k, and not on other requests or on the faults that are set, so that changing one fault does not
// change the draws of the others.
func (p Plan) Draws(k uint64) Draws {
	// With a hash instead of a generator, concurrent requests need not wait for the draws of
	// earlier ones. Only the last field varies in length, so no two plans hash the same bytes.
	key := binary.BigEndian.AppendUint64(nil, p.Seed)
	key = binary.BigEndian.AppendUint64(key, p.Incarnation)
	key = binary.BigEndian.AppendUint64(key, k)
	key = append(key, p.Replica...)
	sum := sha256.Sum256(key)

	// Each draw has its own bytes. A new draw must use the next ones, so that recorded runs keep
	// their crashes.
	return Draws{
		Crash:       fraction(sum[0:8]),
		Error:       fraction(sum[8:16]),
		ServiceTime: fraction(sum[16:24]),
	}
}

// fraction maps 8 random bytes to [0, 1). It uses 53 bits, as many as a float64 holds; more could
// round up to 1.
func fraction(b []byte) float64 {
	return float64(binary.BigEndian.Uint64(b)>>11) / (1 << 53)
}
