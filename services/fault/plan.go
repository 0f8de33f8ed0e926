package fault

import (
	"crypto/sha256"
	"encoding/binary"
)

// Plan fixes the luck of one incarnation of a replica before its first request arrives: equal plans
// draw alike, and plans that differ in any field draw independently.
type Plan struct {
	// Seed is that of the whole run. Any value is allowed.
	Seed uint64
	// Replica is the replica's name.
	Replica string
	// Incarnation is which launch of the replica this is, from 1.
	Incarnation uint64
}

// Draws is the luck of one request: numbers drawn uniformly, at least 0 and less than 1, one for
// each fault that has chance in it.
type Draws struct {
	// Crash crashes the request when it is below the crash probability, so raising the probability
	// only adds crashes.
	Crash float64
	// Error answers the request with the error code when it is below the error probability.
	Error float64
	// ServiceTime is the quantile at which the request's service time lies.
	ServiceTime float64
}

// Draws returns the luck of the k-th request to arrive, from 1. It depends on p and k alone:
// neither on other requests nor on which faults are set, so a change of one fault leaves the luck
// of the others as it was.
func (p Plan) Draws(k uint64) Draws {
	// A hash instead of a generator: requests arrive at once on many goroutines, and none has to
	// wait for the draws of those before it. Only the last field varies in length, so no two plans
	// hash the same bytes.
	key := binary.BigEndian.AppendUint64(nil, p.Seed)
	key = binary.BigEndian.AppendUint64(key, p.Incarnation)
	key = binary.BigEndian.AppendUint64(key, k)
	key = append(key, p.Replica...)
	sum := sha256.Sum256(key)

	// Each draw has its own bytes. A new one takes the next, so that recorded runs keep their
	// crashes.
	return Draws{
		Crash:       unit(sum[0:8]),
		Error:       unit(sum[8:16]),
		ServiceTime: unit(sum[16:24]),
	}
}

// unit maps 8 random bytes to [0, 1). A float64 holds 53 bits; more of them would round up to 1.
func unit(b []byte) float64 {
	return float64(binary.BigEndian.Uint64(b)>>11) / (1 << 53)
}
