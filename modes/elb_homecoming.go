package modes

import (
	"time"

	"nicteam/internal/frame"
)

// Learning frames of an address that has come home are repeated after these times. A switch's port forwards nothing
// for a moment after its link has come up — a Linux bridge takes up to a second — and then the first one is lost: what is
// for the address would go on to the heir, which does not take it in any more.
const (
	homecomingFirst  = time.Second
	homecomingSecond = 3 * time.Second
)

// homecoming are the addresses whose member took them home a moment ago.
type homecoming struct {
	macs map[frame.MAC]bool
	came time.Time // the last of them
	at   time.Time // when they are taught next; zero: not any more
}

// add notes that a member took its address home.
func (c *homecoming) add(now time.Time, m frame.MAC) {
	if c.macs == nil {
		c.macs = map[frame.MAC]bool{}
	}
	c.macs[m] = true
	c.came, c.at = now, now.Add(homecomingFirst)
}

// due returns the homes that are to be taught again, if it is time.
func (c *homecoming) due(now time.Time, homes map[frame.MAC]int) map[frame.MAC]int {
	if c.at.IsZero() || now.Before(c.at) {
		return nil
	}
	again := map[frame.MAC]int{}
	for m := range c.macs {
		if id, ok := homes[m]; ok {
			again[m] = id
		}
	}
	if second := c.came.Add(homecomingSecond); now.Before(second) {
		c.at = second
	} else {
		*c = homecoming{}
	}
	return again
}
