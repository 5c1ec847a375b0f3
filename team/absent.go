package team

import (
	"context"
	"time"
)

// lookEvery is how long a NIC that is back may stay unnoticed.
const lookEvery = 500 * time.Millisecond

// takeBack looks for the NICs of absent members and opens them anew, until ctx ends. It has its own
// goroutine because looking may take long.
func (t *Team) takeBack(ctx context.Context) {
	if t.o.Find == nil {
		return
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	told := map[string]string{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		v := t.view.Load()
		for i, m := range v.status.Members {
			if m.State != "absent" {
				delete(told, m.Name)
				continue
			}
			l, info, err := t.o.Find(ctx, v.links[i])
			if err == nil {
				err = t.Return(ctx, m.Name, l, info)
			}
			if err != nil && ctx.Err() == nil && told[m.Name] != err.Error() { // once, not twice a second
				told[m.Name] = err.Error()
				t.log.Debug("absent member not back", "member", m.Name, "err", err)
			}
		}
	}
}
