package process

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSendersOfReady(t *testing.T) {
	us := uint32(os.Geteuid())
	replica, stranger := us+1234, us+4321
	for _, tt := range []struct {
		name string
		uid  uint32
		want bool
	}{
		{"the replica's user", replica, true},
		{"root", 0, true},
		{"the supervisor's user", us, true},
		{"a stranger", stranger, false},
	} {
		message := unix.UnixCredentials(&unix.Ucred{Pid: 1, Uid: tt.uid})
		if got := allowed(message, replica); got != tt.want {
			t.Errorf("%s is allowed: %v", tt.name, got)
		}
	}
	if allowed(nil, replica) {
		t.Error("a message without credentials is allowed")
	}
}

// The kernel closes descriptors that a notification carries.
func TestNotifySocketTakesNoDescriptors(t *testing.T) {
	n, err := newReadySocket("test", uint32(os.Geteuid()))
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	sender, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(sender)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	to := &unix.SockaddrUnix{Name: n.address()}
	if err := unix.Sendmsg(sender, []byte("READY=1"), unix.UnixRights(int(writer.Fd())), to, 0); err != nil {
		t.Fatal(err)
	}
	<-n.reported()
	writer.Close()
	if _, err := reader.Read(make([]byte, 1)); err == nil {
		t.Error("got data from a pipe whose other end is closed")
	} // it would block if the other end were still open
}

func FuzzCredentials(f *testing.F) {
	f.Add(unix.UnixCredentials(&unix.Ucred{Pid: 1, Uid: 1234}), uint32(1234))
	f.Fuzz(func(t *testing.T, data []byte, user uint32) {
		if allowed(data, user) && len(data) < unix.CmsgLen(unix.SizeofUcred) {
			t.Errorf("%q is allowed", data)
		}
		if !allowed(unix.UnixCredentials(&unix.Ucred{Pid: 1, Uid: user}), user) {
			t.Errorf("user %d is not allowed to send for itself", user)
		}
	})
}
