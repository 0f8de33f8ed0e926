package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"example.com/crashlab/supervisor"
)

const (
	// firstWindow is how much may be sent by an HTTP/2 connection, in bytes,
	// before the other side makes room for more.
	firstWindow = 64<<10 - 1
	// mostAsked is how much a question and its answer may take together.
	mostAsked = 4 << 10
	// mostUnsent is how many bytes of answers to pings wait for a question.
	mostUnsent = 256
	// mostHeaders is how many bytes of headers an answer may have.
	mostHeaders = 16 << 10
)

// notServing is the answer of a service that is alive.
type notServing struct{}

func (notServing) Error() string { return "it says NOT_SERVING" }
func (notServing) Unwrap() error { return supervisor.ErrNotServing }

// link is a connection that asks for health, one question at a time. It is not
// a client of package grpc because there may be hundreds: it takes a half to
// two thirds of the CPU time and a quarter of the memory.
//
// It lasts only as long as the first window of the connection, which is some
// thousand questions: then neither side has to make room for more.
type link struct {
	conn    net.Conn
	frames  *http2.Framer // reads from conn, writes to out
	header  []byte        // of each question
	answers chan error    // of what was asked; closed when the connection is lost
	lost    error         // why; only after answers was closed
	forget  *time.Timer   // nil before the link was kept for the first time

	mu     sync.Mutex   // guards what follows, and writing
	out    bytes.Buffer // takes every frame: only flush fails
	room   int          // in bytes, for questions and answers
	stream uint32       // of the last question
	open   bool         // it is not answered yet
	asked  string       // the service
	http   string       // the answer's HTTP status
	reply  []byte       // the answer so far
}

// newLink makes a link of a connection to addr. The caller has it read.
func newLink(ctx context.Context, raw net.Conn, addr string, c credentials.TransportCredentials) (*link, error) {
	scheme := "http"
	if c.Info().SecurityProtocol == "tls" {
		scheme = "https"
	}
	conn, _, err := c.ClientHandshake(ctx, addr, raw)
	if err != nil {
		raw.Close()
		return nil, err
	}
	l := &link{conn: conn, header: questionHeader(scheme, addr), answers: make(chan error, 1), room: firstWindow}
	l.frames = http2.NewFramer(&l.out, bufio.NewReaderSize(conn, 512))
	l.frames.SetReuseFrames()
	l.frames.SetMaxReadFrameSize(16 << 10)
	l.frames.ReadMetaHeaders = hpack.NewDecoder(4<<10, nil)
	l.frames.MaxHeaderListSize = mostHeaders
	l.out.WriteString(http2.ClientPreface)
	return l, l.frames.WriteSettings(
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: mostHeaders})
}

// questionHeader does without HPACK's dynamic table, so that it is the same for
// each question, whatever size of table the other side allows.
func questionHeader(scheme, addr string) []byte {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	e.SetMaxDynamicTableSize(0)
	for _, f := range []hpack.HeaderField{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: scheme}, {Name: ":path", Value: healthv1.Health_Check_FullMethodName},
		{Name: ":authority", Value: addr}, {Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"},
	} {
		_ = e.WriteField(f)
	}
	return block.Bytes()
}

func (l *link) close() {
	if l.forget != nil {
		l.forget.Stop()
	}
	l.conn.Close()
}

// ask reports whether there was an answer, whether the link can be asked again,
// and the error that the answer is or that it failed with.
func (l *link) ask(ctx context.Context, service string) (answered, again bool, err error) {
	// It also ends a write that is stuck.
	inTime := context.AfterFunc(ctx, func() { l.conn.Close() })
	if err := l.send(service); err != nil {
		inTime()
		return false, false, err
	}
	err, answered = <-l.answers
	if !answered {
		err = l.lost
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return answered, inTime() && answered && l.room > mostAsked, err
}

func (l *link) send(service string) error {
	question, err := proto.Marshal(&healthv1.HealthCheckRequest{Service: service})
	if err != nil {
		return err
	}
	if len(question) > mostAsked/2 {
		return fmt.Errorf("the service's name has %d bytes: want at most %d", len(service), mostAsked/2)
	}
	message := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(question))), question...)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stream++; l.stream > 1 {
		l.stream++ // a client's are odd
	}
	l.open, l.asked, l.http, l.reply = true, service, "", l.reply[:0]
	l.room -= len(message)
	_ = l.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: l.stream, BlockFragment: l.header, EndHeaders: true})
	_ = l.frames.WriteData(l.stream, true, message)
	return l.flush()
}

func (l *link) flush() error {
	_, err := l.conn.Write(l.out.Bytes())
	l.out.Reset()
	return err
}

// read reads until the connection is lost. It goes on between the questions: a
// server that drains, or looks whether we are there, waits for us otherwise.
func (l *link) read() {
	for l.lost == nil {
		var f http2.Frame
		if f, l.lost = l.frames.ReadFrame(); l.lost == nil {
			l.lost = l.take(f)
		}
	}
	l.conn.Close()
	close(l.answers)
}

func (l *link) take(f http2.Frame) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	ours := l.open && f.Header().StreamID == l.stream
	switch f := f.(type) {
	case *http2.SettingsFrame:
		return l.settings(f)
	case *http2.PingFrame:
		if f.IsAck() {
			return nil
		}
		return l.ping(f)
	case *http2.GoAwayFrame:
		if l.room = 0; !l.open || f.LastStreamID < l.stream {
			return errors.New("it closes the connection")
		}
	case *http2.PushPromiseFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	case *http2.RSTStreamFrame:
		if ours {
			return fmt.Errorf("it drops the question: %v", f.ErrCode)
		}
	case *http2.DataFrame:
		if l.room -= int(f.Length); ours {
			return l.data(f)
		}
	case *http2.MetaHeadersFrame:
		if ours {
			l.headers(f)
		}
	}
	return nil
}

// ping answers at once between questions. During one it leaves the answer to go
// with the next: gRPC's servers measure with a ping at every question, and the
// write for each would be the half of what asking costs, here and there.
func (l *link) ping(f *http2.PingFrame) error {
	_ = l.frames.WritePing(true, f.Data)
	if l.open && l.out.Len() < mostUnsent {
		return nil
	}
	return l.flush()
}

func (l *link) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	// What was asked before may be larger, by the protocol; the next may not.
	if w, ok := f.Value(http2.SettingInitialWindowSize); ok && w < mostAsked {
		l.room = 0
	}
	_ = l.frames.WriteSettingsAck()
	return l.flush()
}

func (l *link) data(f *http2.DataFrame) error {
	l.reply = append(l.reply, f.Data()...)
	if len(l.reply) > mostAsked/2 {
		return errors.New("its answer is too long for one about health")
	}
	if f.StreamEnded() {
		l.answer(l.notGRPC())
	}
	return nil
}

func (l *link) headers(f *http2.MetaHeadersFrame) {
	if s := f.PseudoValue("status"); s != "" {
		l.http = s
	}
	if !f.StreamEnded() {
		return
	}
	var code, message string
	for _, field := range f.Fields {
		switch field.Name {
		case "grpc-status":
			code = field.Value
		case "grpc-message":
			message = field.Value
		}
	}
	n, err := strconv.ParseUint(code, 10, 32)
	if err != nil {
		l.answer(l.notGRPC())
		return
	}
	if plain, err := url.PathUnescape(message); err == nil {
		message = plain
	}
	l.answer(l.meaning(codes.Code(n), message))
}

func (l *link) notGRPC() error {
	return fmt.Errorf("it does not speak gRPC, and answers with HTTP status %s", l.http)
}

func (l *link) answer(err error) {
	l.open = false
	l.answers <- err
}

// meaning is nil if the service serves.
func (l *link) meaning(code codes.Code, message string) error {
	switch code {
	case codes.OK:
	case codes.Unimplemented:
		return errors.New("it has no grpc.health.v1 service: register one, or probe by TCP")
	case codes.NotFound:
		return fmt.Errorf("it knows no service %q", l.asked)
	default:
		return status.Error(code, message)
	}
	const prefix = 5 // of a message: not compressed, its length
	var reply healthv1.HealthCheckResponse
	if len(l.reply) < prefix || l.reply[0] != 0 || int(binary.BigEndian.Uint32(l.reply[1:])) != len(l.reply)-prefix ||
		proto.Unmarshal(l.reply[prefix:], &reply) != nil {
		return fmt.Errorf("it answers %q, which is not about health", l.reply)
	}
	switch reply.GetStatus() {
	case healthv1.HealthCheckResponse_SERVING:
		return nil
	case healthv1.HealthCheckResponse_NOT_SERVING:
		return notServing{}
	default:
		return fmt.Errorf("it says %v", reply.GetStatus())
	}
}
