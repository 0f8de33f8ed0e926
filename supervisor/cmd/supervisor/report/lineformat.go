package report

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
)

// lineFormat formats replicas' lines for the console. The zero value is ready for use. It is not
// safe for concurrent use.
type lineFormat struct {
	log hclog.Logger // writes to buf
	buf bytes.Buffer
	at  time.Time // the time of the next line of log
}

// text appends a line with a prefix. JSON that hclog wrote becomes the text that hclog would have
// written, as in the supervisor's own log. If the text has several lines, each gets the prefix.
func (f *lineFormat) text(to *bytes.Buffer, prefix string, line []byte) {
	if rendered, ok := f.render(line); ok {
		line = bytes.TrimSuffix(rendered, []byte{'\n'})
	}
	for more := true; more; {
		var part []byte
		part, line, more = bytes.Cut(line, []byte{'\n'})
		to.WriteString(prefix)
		to.Write(part)
		to.WriteByte('\n')
	}
}

// render returns hclog's text for a line of JSON that hclog wrote. The text is valid until the next
// call. For any other line it returns false.
func (f *lineFormat) render(line []byte) ([]byte, bool) {
	if !bytes.HasPrefix(line, []byte{'{'}) || !bytes.Contains(line, []byte(`"@level"`)) {
		return nil, false
	}
	fields, ok := object(line)
	if !ok {
		return nil, false
	}
	take := func(key string) string {
		s, _ := fields[key].(string)
		delete(fields, key)
		return s
	}
	level := hclog.LevelFromString(take("@level"))
	message, module, stamp := take("@message"), take("@module"), take("@timestamp")
	if level == hclog.NoLevel || level == hclog.Off {
		return nil, false
	}
	if module != "" && message != "" {
		module += ": "
	}
	var err error
	if f.at, err = time.Parse(hclog.TimeFormatJSON, stamp); err != nil {
		f.at = time.Now()
	}
	var args []any
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		value := fields[key]
		if nested, ok := value.(map[string]any); ok {
			text, _ := json.Marshal(nested) // cannot fail, because it was JSON before
			value = string(text)
		}
		args = append(args, key, value)
	}
	if f.log == nil {
		f.log = hclog.New(&hclog.LoggerOptions{
			Output: &f.buf, Level: hclog.Trace, TimeFn: func() time.Time { return f.at },
		})
	}
	f.buf.Reset()
	f.log.Log(level, module+message, args...)
	return f.buf.Bytes(), true
}

// json appends a line as a JSON object on one line. A line that already is a JSON object keeps its
// fields, and gets "replica" as the first unless it has one. Any other line becomes "@message",
// with the current time as "@timestamp", the names that hclog uses. It has no "@level", which is
// unknown.
func (f *lineFormat) json(to *bytes.Buffer, replica string, line []byte, now time.Time) {
	if bytes.HasPrefix(line, []byte{'{'}) {
		if fields, ok := object(line); ok {
			if _, named := fields["replica"]; !named {
				name, _ := json.Marshal(replica) // cannot fail for a string
				to.WriteString(`{"replica":`)
				to.Write(name)
				if line = line[1:]; len(fields) > 0 {
					to.WriteByte(',')
				}
			}
			to.Write(line)
			to.WriteByte('\n')
			return
		}
	}
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(struct { // cannot fail for strings and a buffer
		Message string `json:"@message"`
		Time    string `json:"@timestamp"`
		Replica string `json:"replica"`
	}{string(line), now.Format(hclog.TimeFormatJSON), replica})
}

// object returns the fields of a line that is one JSON object.
func object(line []byte) (fields map[string]any, ok bool) {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber() // preserves the spelling of numbers
	if decoder.Decode(&fields) != nil || fields == nil {
		return nil, false
	}
	rest := line[decoder.InputOffset():]
	return fields, len(bytes.TrimSpace(rest)) == 0
}
