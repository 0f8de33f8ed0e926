package workload

import "slices"

// Records collects the records of a run; its Add method can be the emit function of [Plan.Run]. It
// grows in chunks: appending to one slice would copy it repeatedly into new memory, which takes
// more time than everything else that Run does for a call. The zero value is empty.
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

// All returns the records in the order in which they were added.
func (c *Records) All() []Record { return slices.Concat(append(slices.Clip(c.full), c.last)...) }
