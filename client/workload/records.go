package workload

import "slices"

// Records collects the records of a run: its Add is an emit. A slice that grows is copied again and
// again, into memory that is new to the process, which takes more time than all else that Run does
// for a call; this grows without. The zero value is empty.
type Records struct {
	full [][]Record
	last []Record
}

const recordsChunk = 1024

// Add appends the record.
func (c *Records) Add(r Record) {
	if len(c.last) == cap(c.last) {
		if c.last != nil {
			c.full = append(c.full, c.last)
		}
		c.last = make([]Record, 0, recordsChunk)
	}
	c.last = append(c.last, r)
}

// All returns the records so far, in the order in which they were added.
func (c *Records) All() []Record { return slices.Concat(append(slices.Clip(c.full), c.last)...) }
