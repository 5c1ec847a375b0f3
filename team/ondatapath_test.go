package team

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestOnDatapath: the status says who moves the frames and why; another one that moves them is an event, another reason
// is not.
func TestOnDatapath(t *testing.T) {
	l, err := NewLoop(activeBackup(), LoopOptions{Datapath: "relay", DatapathReason: "the team starts"})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1, 0)
	l.Handle(now, Tick{})
	for _, step := range []struct {
		in     DatapathChanged
		events []string
	}{
		{DatapathChanged{"relay", "asked for"}, nil},
		{DatapathChanged{"fastpath", "the kernel moves"}, []string{"datapath-changed: fastpath, was relay: the kernel moves"}},
		{DatapathChanged{"fastpath", "the kernel moves"}, nil},
		{DatapathChanged{"relay", "eth1: held"}, []string{"datapath-changed: relay, was fastpath: eth1: held"}},
	} {
		var events []string
		for _, e := range l.Handle(now, step.in).Events {
			events = append(events, e.Event+": "+e.Reason)
		}
		if diff := cmp.Diff(step.events, events); diff != "" {
			t.Errorf("after %v events (-want +got):\n%s", step.in, diff)
		}
		st := l.Status()
		if got := (DatapathChanged{st.Datapath, st.DatapathReason}); got != step.in {
			t.Errorf("status says %v, want %v", got, step.in)
		}
		if counts := map[string]string{"relay": "all", "fastpath": "relayed"}[step.in.Name]; st.Adapter.KernelCounts != counts {
			t.Errorf("in %s the kernel counts %q, want %q", step.in.Name, st.Adapter.KernelCounts, counts)
		}
	}
}
