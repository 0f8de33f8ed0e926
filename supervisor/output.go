package supervisor

import (
	"bufio"
	"bytes"
	"io"
)

// maxLine bounds the memory that a child which writes no newline can take.
const maxLine = 1 << 20

// readLines calls emit with each line that r yields, without its newline, until
// r fails; a last line without a newline counts. A line above maxLine comes in
// pieces of maxLine.
func readLines(r io.Reader, emit func([]byte)) {
	in := bufio.NewReader(r)
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		whole := bytes.HasSuffix(line, []byte{'\n'})
		line = bytes.TrimSuffix(line, []byte{'\n'})
		// A full piece waits for the next byte, as that may be its newline.
		for len(line) > maxLine {
			emit(line[:maxLine])
			line = append(line[:0], line[maxLine:]...)
		}
		switch {
		case whole:
			emit(line)
			line = reuse(line)
		case err == nil || err == bufio.ErrBufferFull:
		default:
			if len(line) > 0 {
				emit(line)
			}
			return
		}
	}
}

// reuse empties a buffer, or drops it where one long line made it big.
func reuse(line []byte) []byte {
	if cap(line) > 64<<10 {
		return nil
	}
	return line[:0]
}
