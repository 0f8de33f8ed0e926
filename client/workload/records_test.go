package workload

import "testing"

func TestRecords(t *testing.T) {
	var c Records
	if all := c.All(); len(all) != 0 {
		t.Errorf("%d records in an empty collection", len(all))
	}
	for n := 1; n <= 3*recordsChunk+1; n++ {
		c.Add(Record{Call: n})
		if n%recordsChunk > 1 {
			continue // only the boundaries of chunks are interesting
		}
		all := c.All()
		for i, r := range all {
			if r.Call != i+1 {
				t.Fatalf("record %d of %d is call %d", i+1, n, r.Call)
			}
		}
		if len(all) != n {
			t.Fatalf("%d records after %d", len(all), n)
		}
	}
}
