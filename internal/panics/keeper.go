package panics

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"nicteam/internal/api"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// fatalCount panics of one kind within fatalSpan are no accident any more.
	fatalCount = 3
	fatalSpan  = 10 * time.Second
	// frameShown is how much of a frame is kept: its headers, not what people say to each other.
	frameShown = 54
)

// Keeper keeps the panics of a process. Its methods may be called from any goroutine.
type Keeper struct {
	log   *slog.Logger
	fatal chan error
	ended atomic.Bool // fatal was told

	mu    sync.Mutex
	kinds []*kind // in the order in which each happened first
	tell  func(api.Panic)
}

// kind is where panics happen, which is one entry.
type kind struct {
	api.Panic
	last [fatalCount]time.Time // the latest first
}

// New returns a keeper of nothing. nil logs nowhere.
func New(log *slog.Logger) *Keeper {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Keeper{log: log, fatal: make(chan error, 1)}
}

// Tell has f told of each panic that is worth an event. It must not block.
func (k *Keeper) Tell(f func(api.Panic)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tell = f
}

// Fatal delivers why the process has to end.
func (k *Keeper) Fatal() <-chan error { return k.fatal }

// List returns the last panic of each kind, and how many there were.
func (k *Keeper) List() []api.Panic {
	k.mu.Lock()
	defer k.mu.Unlock()
	var list []api.Panic
	for _, p := range k.kinds {
		list = append(list, p.Panic)
	}
	return list
}

// Do runs f and reports whether it came to its end. A panic in it is caught.
func (k *Keeper) Do(where string, f func()) (ended bool) {
	defer func() {
		if !ended {
			k.Caught(where, "", recover())
		}
	}()
	f()
	return true
}

// Again runs a goroutine's f until it returns, anew after each panic, and not any more once ctx has ended or the process
// has to.
func (k *Keeper) Again(ctx context.Context, where string, f func()) {
	for !k.Do(where, f) && ctx.Err() == nil && !k.Ended() {
	}
}

// Ended reports whether the process has to end: what goes on panicking is to do so slowly until then.
func (k *Keeper) Ended() bool { return k.ended.Load() }

// Caught keeps a panic that the caller has recovered, and why three of a kind are too many.
func (k *Keeper) Caught(where, input string, value any) {
	p := k.keep(where, input, value)
	if k.Ended() {
		return
	}
	k.told(p.Panic)
	if first := p.last[fatalCount-1]; first.IsZero() || p.Time.Sub(first) > fatalSpan {
		return
	}
	err := fmt.Errorf("%d panics within %v, the last one in the %s", fatalCount, fatalSpan, p.String())
	if k.ended.CompareAndSwap(false, true) {
		k.fatal <- err
	}
}

// Foreign keeps a recovered panic over what somebody else has sent, which is dropped. Who sends one of these may send a
// thousand: only the first is told of, and none ends the process.
func (k *Keeper) Foreign(where, input string, value any) {
	if p := k.keep(where, input, value); p.Count == 1 {
		k.told(p.Panic)
	}
}

// Frame is Foreign for a frame of the data path.
func (k *Keeper) Frame(value any, b []byte) {
	k.Foreign("data path", fmt.Sprintf("frame of %d octets: %s", len(b), hex.EncodeToString(b[:min(len(b), frameShown)])), value)
}

// keep counts a panic and returns its kind as it is then.
func (k *Keeper) keep(where, input string, value any) kind {
	if value == nil {
		value = errors.New("the goroutine was ended")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.IndexFunc(k.kinds, func(p *kind) bool { return p.Where == where })
	if i < 0 {
		i = len(k.kinds)
		k.kinds = append(k.kinds, &kind{Panic: api.Panic{Where: where}})
	}
	p := k.kinds[i]
	p.Count++
	p.Time, p.Input, p.Value, p.Stack = time.Now(), input, fmt.Sprint(value), stack()
	copy(p.last[1:], p.last[:])
	p.last[0] = p.Time
	return *p
}

func (k *Keeper) told(p api.Panic) {
	k.log.Error("caught a panic", "where", p.Where, "input", p.Input, "err", p.Value, "count", p.Count, "stack", p.Stack)
	k.mu.Lock()
	tell := k.tell
	k.mu.Unlock()
	if tell != nil {
		tell(p)
	}
}

// stack is that of the panic, without what caught it.
func stack() string {
	s := string(debug.Stack())
	if i := strings.Index(s, "\npanic("); i >= 0 {
		return s[i+1:]
	}
	return s
}
