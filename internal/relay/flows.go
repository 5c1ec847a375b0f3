package relay

import (
	"nicteam/modes/spread"
)

// Flows copies the flow table.
func (r *Relay) Flows(f *spread.Flows) bool {
	if r.rule.Load().Spread != spread.SpreadShortest {
		return false
	}
	found := false
	err := r.Do(func(p *spread.Picker, _ int64) {
		if table := p.Flows(); table != nil {
			*f, found = *table, true
		}
	})
	return err == nil && found
}
