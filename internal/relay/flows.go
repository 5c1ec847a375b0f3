package relay

import "nicteam/modes"

// Flows copies the flow table.
func (r *Relay) Flows(f *modes.Flows) bool {
	if r.rule.Load().Spread != modes.SpreadShortest {
		return false
	}
	found := false
	err := r.Do(func(p *modes.Picker, _ int64) {
		if table := p.Flows(); table != nil {
			*f, found = *table, true
		}
	})
	return err == nil && found
}
