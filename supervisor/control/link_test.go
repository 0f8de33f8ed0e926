package control

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// peer is the server's end of a connection, frame by frame.
type peer struct {
	*http2.Framer
	t      testing.TB
	stream uint32 // of the question
	acks   int    // of pings, up to the question
	block  bytes.Buffer
	hpack  *hpack.Encoder
}

// scripted starts a server, until the test's end, that has each question
// answered by a script.
func scripted(t testing.TB, answer func(p *peer)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := io.CopyN(io.Discard, conn, int64(len(http2.ClientPreface))); err != nil {
					return
				}
				p := &peer{Framer: http2.NewFramer(conn, conn), t: t}
				p.hpack = hpack.NewEncoder(&p.block)
				p.ReadMetaHeaders = hpack.NewDecoder(0, nil) // as one that has no table to spare
				for p.question() {
					answer(p)
				}
			}()
		}
	}()
	return l.Addr().String()
}

// question reads up to the end of the next one.
func (p *peer) question() bool {
	for {
		f, err := p.ReadFrame()
		if err != nil {
			return false
		}
		switch f := f.(type) {
		case *http2.PingFrame:
			p.acks++
		case *http2.DataFrame:
			if p.stream = f.StreamID; f.StreamEnded() {
				return true
			}
		}
	}
}

// headers sends pairs of a name and a value, so many bytes a frame.
func (p *peer) headers(end bool, size int, pairs ...string) {
	p.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		_ = p.hpack.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	b := p.block.Bytes()
	n := min(size, len(b))
	_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: p.stream, BlockFragment: b[:n], EndHeaders: n == len(b), EndStream: end})
	for b = b[n:]; len(b) > 0; b = b[n:] {
		n = min(size, len(b))
		_ = p.WriteContinuation(p.stream, n == len(b), b[:n])
	}
}

const (
	whole   = 1 << 14
	serving = "\x00\x00\x00\x00\x02\x08\x01"
)

func (p *peer) data(end bool, message string) { _ = p.WriteData(p.stream, end, []byte(message)) }

// answer answers that all is well, at a stretch.
func (p *peer) answer() {
	p.headers(false, whole, ":status", "200", "content-type", "application/grpc")
	p.data(false, serving)
	p.headers(true, whole, "grpc-status", "0")
}

// acked reports whether the next frame is the answer to a ping.
func (p *peer) acked() bool {
	_ = p.WritePing(false, [8]byte{1, 2, 3})
	for {
		f, err := p.ReadFrame()
		if err != nil {
			return false
		}
		if ping, ok := f.(*http2.PingFrame); ok {
			return ping.IsAck() && ping.Data == [8]byte{1, 2, 3}
		}
	}
}

func TestAnswersOfAllForms(t *testing.T) {
	const notGRPC = "it does not speak gRPC, and answers with HTTP status "
	for _, tc := range []struct {
		name, want string
		answer     func(p *peer)
	}{
		{"plain", "", (*peer).answer},
		{"status at once", "rpc error: code = Unavailable desc = 100% busy\nnow", func(p *peer) {
			p.headers(true, whole, ":status", "200", "grpc-status", "14", "grpc-message", "100%25 busy%0Anow")
		}},
		{"headers in many frames", "", func(p *peer) {
			p.headers(false, 100, ":status", "200", "x-long", strings.Repeat("x", 4000))
			p.data(false, serving)
			p.headers(true, 3, "grpc-status", "0")
		}},
		{"more headers than are taken", notGRPC, func(p *peer) {
			p.headers(true, whole, ":status", "200", "x-long", strings.Repeat("x", mostHeaders), "grpc-status", "0")
		}},
		{"data in parts, padded, with other frames between", "", func(p *peer) {
			p.headers(false, whole, ":status", "200")
			p.data(false, serving[:3])
			_ = p.WriteWindowUpdate(0, 12)
			_ = p.WriteRawFrame(0xbe, 0, p.stream, []byte("unknown"))
			_ = p.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
			_ = p.WritePing(false, [8]byte{1})
			if asked := int(p.stream+1) / 2; p.acks != asked-1 {
				return
			}
			_ = p.WriteDataPadded(p.stream, false, []byte(serving[3:]), make([]byte, 9))
			p.headers(true, whole, "grpc-status", "0")
		}},
		{"many pings", "", func(p *peer) {
			for range 100 {
				_ = p.WritePing(false, [8]byte{1})
			}
			for p.acks < 80 { // they do not pile up
				if f, err := p.ReadFrame(); err != nil {
					return
				} else if _, ok := f.(*http2.PingFrame); ok {
					p.acks++
				}
			}
			p.answer()
			p.acks -= 100
		}},
		{"a field that is new to us", "", func(p *peer) {
			p.headers(false, whole, ":status", "200")
			p.data(false, "\x00\x00\x00\x00\x04\x08\x01\x10\x05")
			p.headers(true, whole, "grpc-status", "0")
		}},
		{"web page", notGRPC + "404", func(p *peer) {
			p.headers(false, whole, ":status", "404")
			p.data(true, "<html>")
		}},
		{"no page", notGRPC + "503", func(p *peer) { p.headers(true, whole, ":status", "503") }},
		{"compressed", "which is not about health", func(p *peer) {
			p.headers(false, whole, ":status", "200")
			p.data(false, "\x01\x00\x00\x00\x02\x08\x01")
			p.headers(true, whole, "grpc-status", "0")
		}},
		{"no message", `it answers "", which is not about health`, func(p *peer) {
			p.headers(true, whole, ":status", "200", "grpc-status", "0")
		}},
		{"endless", "too long for one about health", func(p *peer) {
			p.headers(false, whole, ":status", "200")
			p.data(false, strings.Repeat("x", whole))
		}},
		{"dropped", "no answer: it drops the question: REFUSED_STREAM", func(p *peer) {
			_ = p.WriteRSTStream(p.stream, http2.ErrCodeRefusedStream)
		}},
		{"promise", "no answer: connection error: PROTOCOL_ERROR", func(p *peer) {
			_ = p.WritePushPromise(http2.PushPromiseParam{StreamID: p.stream, PromiseID: 2, EndHeaders: true})
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, addr := newProber(t), scripted(t, tc.answer)
			for range 2 { // the second time by the same connection, if it was an answer
				switch err := p.Health(patient(t), addr, ""); {
				case tc.want == "" && err != nil:
					t.Error(err)
				case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
					t.Errorf("got %v, want %q", err, tc.want)
				}
			}
		})
	}
}

func TestWhatIsNoHTTP2(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
			conn.Close()
		}
	}()
	if err := newProber(t).Health(patient(t), l.Addr().String(), ""); err == nil || !strings.HasPrefix(err.Error(), "no answer: ") {
		t.Errorf("got %v, want no answer", err)
	}
}

// A server that stops gracefully waits for its connections, and one that looks
// for dead ones closes those that say nothing: neither may wait for a question.
func TestKeptConnectionsAnswer(t *testing.T) {
	alive := make(chan bool, 1)
	addr := scripted(t, func(p *peer) {
		p.answer()
		alive <- p.acked()
	})
	p := newProber(t)
	if err := p.Health(patient(t), addr, ""); err != nil {
		t.Fatal(err)
	}
	select {
	case ok := <-alive:
		if !ok {
			t.Error("the ping has no answer")
		}
	case <-patient(t).Done():
		t.Error("nobody answers pings between questions")
	}

	r := serve(t, "127.0.0.1:0", true)
	if err := p.Health(patient(t), r.addr, ""); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { r.server.GracefulStop(); close(gone) }()
	select {
	case <-gone:
	case <-patient(t).Done():
		t.Error("a kept connection holds up GracefulStop")
	}
}

// Who goes away is asked no more, but may answer what it has taken on.
func TestGoAway(t *testing.T) {
	var seen []uint32
	addr := scripted(t, func(p *peer) {
		seen = append(seen, p.stream)
		switch len(seen) {
		case 1:
			p.answer()
		case 2: // not taken on: the same question comes by another connection
			_ = p.WriteGoAway(p.stream-2, http2.ErrCodeNo, nil)
		case 3:
			_ = p.WriteGoAway(p.stream, http2.ErrCodeNo, nil)
			p.answer()
		default:
			p.answer()
		}
	})
	p := newProber(t)
	for range 3 {
		if err := p.Health(patient(t), addr, ""); err != nil {
			t.Error(err)
		}
	}
	leave, kept := make(chan struct{}), make(chan bool)
	idle := scripted(t, func(p *peer) {
		p.answer()
		<-leave
		_ = p.WriteGoAway(p.stream, http2.ErrCodeNo, nil)
		kept <- p.question()
	})
	if err := p.Health(patient(t), idle, ""); err != nil {
		t.Error(err)
	}
	close(leave)
	select {
	case again := <-kept:
		if again {
			t.Error("asked again by a connection that goes away")
		}
	case <-patient(t).Done():
		t.Error("a connection that goes away is not closed")
	}
	if want := []uint32{1, 3, 1, 1}; !slices.Equal(seen, want) {
		t.Errorf("questions came by streams %v, want %v", seen, want)
	}
}

// No link sends or takes more than the first windows have room for.
func TestLinksEndBeforeTheirWindow(t *testing.T) {
	service := strings.Repeat("s", 1000)
	var most uint32
	narrow := false
	addr := scripted(t, func(p *peer) {
		if most = max(most, p.stream); p.stream == 1 && narrow {
			_ = p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		}
		p.answer()
	})
	p := newProber(t)
	for range 150 {
		if err := p.Health(patient(t), addr, service); err != nil {
			t.Fatal(err)
		}
	}
	if asked := int(most+1) / 2; asked*1000 > firstWindow || asked < 50 {
		t.Errorf("%d questions of 1000 bytes by a connection, want 50 to 65", asked)
	}
	p.Close()

	p = newProber(t)
	most, narrow = 0, true
	for range 3 {
		if err := p.Health(patient(t), addr, service); err != nil {
			t.Fatal(err)
		}
	}
	if most != 1 || p.kept() != 0 {
		t.Errorf("%d connections kept to a server with no window, and asked up to stream %d, want none and 1", p.kept(), most)
	}
	if err := p.Health(patient(t), addr, strings.Repeat("s", mostAsked)); err == nil || !strings.HasSuffix(err.Error(), "has 4096 bytes: want at most 2048") {
		t.Errorf("a long name: %v", err)
	}
}

// What a peer does after an answer does not turn up as that to the next question.
func TestAnswersDoNotMix(t *testing.T) {
	addr := scripted(t, func(p *peer) {
		p.answer()
		p.answer() // as by RFC 9113 a closed stream may still get frames
	})
	p := newProber(t)
	for range 5 {
		if err := p.Health(patient(t), addr, ""); err != nil {
			t.Error(err)
		}
	}
}
