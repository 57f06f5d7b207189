package agent

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"smap/spoolfmt/envelope"
)

// Maildir delivers into one Maildir, a file for each recipient, with the same
// care as a commit: written in tmp/, synced, linked into new/, new/ synced.
//
// The name in new/ depends on the message and the recipient. So a delivery that is
// repeated, because smapd died before it recorded the first, finds the file, unless a
// mail reader has moved it.
type Maildir struct {
	path string
	host string
	seq  atomic.Uint64
	made atomic.Bool             // it is there, durably
	sync func(path string) error // of a directory; a test has its own
}

// NewMaildir returns an agent for the Maildir at an absolute path. It and its
// tmp/, new/ and cur/ are made at the first delivery when they are missing; the
// directory above must be there.
func NewMaildir(path string) *Maildir {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	// The Maildir convention for what a name in it cannot hold.
	host = strings.NewReplacer("/", `\057`, ":", `\072`).Replace(host)
	return &Maildir{path: filepath.Clean(path), host: host, sync: syncDir}
}

// Name returns "maildir" and the path.
func (a *Maildir) Name() string { return "maildir " + a.path }

// MaxRecipients returns 0.
func (a *Maildir) MaxRecipients() int { return 0 }

// Close does nothing.
func (a *Maildir) Close() error { return nil }

// Deliver writes one file for each recipient. No failure here is the
// message's fault, so none is permanent.
func (a *Maildir) Deliver(ctx context.Context, job *Job) ([]Result, error) {
	if err := a.prepare(); err != nil {
		return nil, &StartError{Agent: a.Name(), Err: err}
	}
	results := make([]Result, len(job.Recipients))
	var linked []int
	for i, r := range job.Recipients {
		if err := context.Cause(ctx); err != nil {
			results[i] = Result{Text: err.Error()}
			continue
		}
		if err := a.deliver(job, r); err != nil {
			results[i] = Result{Text: err.Error(), Status: "4.3.0"}
			continue
		}
		linked = append(linked, i)
	}
	if len(linked) == 0 {
		return results, nil
	}
	// One sync of new/ serves all recipients. Without it nothing counts.
	err := a.sync(filepath.Join(a.path, "new"))
	for _, i := range linked {
		if err != nil {
			results[i] = Result{Text: err.Error(), Status: "4.3.0"}
		} else {
			results[i] = Result{Outcome: Delivered, Text: "maildir", Status: "2.0.0"}
		}
	}
	return results, nil
}

// prepare makes the Maildir if it is missing. Another process may have made it and died
// before it was durable, so the first delivery of each process syncs it.
func (a *Maildir) prepare() error {
	st, err := os.Stat(filepath.Join(a.path, "new"))
	there := err == nil && st.IsDir()
	if there && a.made.Load() {
		return nil
	}
	for _, dir := range []string{"", "tmp", "cur", "new"} {
		if there {
			break // what else is missing is not ours to make
		}
		if err := os.Mkdir(filepath.Join(a.path, dir), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	for _, dir := range []string{filepath.Dir(a.path), a.path} {
		if err := a.sync(dir); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err // a directory that we may write to but not read cannot be synced
		}
	}
	a.made.Store(true)
	return nil
}

// deliver writes one file and gives it its name in new/, which is durable only
// after the directory is synced.
func (a *Maildir) deliver(job *Job, rcpt envelope.Path) error {
	to, err := a.name(job, rcpt)
	if err != nil {
		return err
	}
	to = filepath.Join(a.path, "new", to)
	if st, err := os.Lstat(to); err == nil && st.Mode().IsRegular() {
		return nil // complete: it was synced before it got this name
	}
	tmp := filepath.Join(a.path, "tmp", a.unique(time.Now()))
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	err = a.write(f, job, rcpt)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		// link refuses to replace; where there are no links, what a rename
		// replaces is the same.
		if lerr := os.Link(tmp, to); errors.Is(lerr, syscall.EPERM) || errors.Is(lerr, syscall.EOPNOTSUPP) {
			return os.Rename(tmp, to)
		} else if lerr != nil {
			err = lerr
		}
	}
	if rerr := os.Remove(tmp); rerr != nil && err != nil {
		err = errors.Join(err, rerr) // alone it is only litter, which Maildir readers remove
	}
	return err
}

func (a *Maildir) write(f *os.File, job *Job, rcpt envelope.Path) error {
	if _, err := job.Content.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("rewind content: %w", err)
	}
	w := bufio.NewWriterSize(f, 512)
	fmt.Fprintf(w, "Return-Path: <%s>\nDelivered-To: %s\n", job.Sender.Address, rcpt.Address)
	if err := w.Flush(); err != nil {
		return err
	}
	n, err := io.Copy(f, job.Content)
	if err == nil && n != job.Size {
		err = fmt.Errorf("content has %d octets, not %d", n, job.Size)
	}
	return err
}

// name returns the file's name in new/: the content's time, the message and the
// recipient, and the host. An id that is used again, against the rules, comes
// with another time.
func (a *Maildir) name(job *Job, rcpt envelope.Path) (string, error) {
	f := job.Lock
	if f == nil {
		f = job.Content // else that may be a copy, with a time of its own
	}
	st, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("content: %w", err)
	}
	sum := sha256.Sum256([]byte(job.ID + "\n" + rcpt.Address))
	t := st.ModTime()
	return fmt.Sprintf("%d.N%dS%x.%s", t.Unix(), t.Nanosecond(), sum[:16], a.host), nil
}

// unique returns a name for tmp/ that no delivery before used: time, process,
// counter and host, as the Maildir convention has it.
func (a *Maildir) unique(now time.Time) string {
	return strconv.FormatInt(now.Unix(), 10) + ".M" + strconv.Itoa(now.Nanosecond()/1000) +
		"P" + strconv.Itoa(os.Getpid()) + "Q" + strconv.FormatUint(a.seq.Add(1), 10) + "." + a.host
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
