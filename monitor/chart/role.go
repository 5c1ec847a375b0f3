// SPDX-License-Identifier: MIT

package chart

import "image/color"

// Role is what a cell shows. The caller chooses its colour.
type Role uint16

const (
	Text      Role = iota // running text and blanks
	Title                 // names
	AxisRole              // both axes and the frame
	Label                 // numbers and times along the axes
	EventRole             // event marks and their text
	Peak                  // the highest rate within a column, and cut-off marks
	In                    // the only layer above the axis
	Out                   // the only layer below the axis
	Good                  // the state of a usable member
	Bad                   // the state of an unusable one
	Muted                 // what cannot be chosen

	memberRoles   Role = 0x100
	protocolRoles Role = 0x200
)

// memberRole is the role of the layer of Data.Members[i].
func memberRole(i int) Role { return memberRoles + Role(i&0xff) }

// protocolRole is the role of the layer of Data.Protocols[i].
func protocolRole(i int) Role { return protocolRoles + Role(i&0xff) }

// Layer returns the index of a member's or protocol's layer.
func (r Role) Layer() (i int, ok bool) { return int(r & 0xff), r >= memberRoles }

// layers are Okabe and Ito's colours, which any colour vision tells apart, in an order in which neighbours differ in
// lightness too.
var layers = []color.RGBA{
	{0x00, 0x72, 0xb2, 0xff}, {0xe6, 0x9f, 0x00, 0xff}, {0x00, 0x9e, 0x73, 0xff}, {0xcc, 0x79, 0xa7, 0xff},
	{0x56, 0xb4, 0xe9, 0xff}, {0xd5, 0x5e, 0x00, 0xff}, {0xb8, 0xae, 0x20, 0xff}, {0x80, 0x80, 0x80, 0xff},
}

// Color is the role's colour in pictures, on a light or a dark background. Screens may use it.
func (r Role) Color(dark bool) color.RGBA {
	if i, ok := r.Layer(); ok {
		return layers[i%len(layers)]
	}
	pick := func(light, onDark color.RGBA) color.RGBA {
		if dark {
			return onDark
		}
		return light
	}
	switch r {
	case In:
		return layers[0]
	case Out:
		return layers[1]
	case Good:
		return layers[2]
	case Bad, EventRole:
		return layers[5]
	case AxisRole, Muted:
		return pick(color.RGBA{0x88, 0x88, 0x88, 0xff}, color.RGBA{0x77, 0x77, 0x77, 0xff})
	case Label:
		return pick(color.RGBA{0x55, 0x55, 0x55, 0xff}, color.RGBA{0xaa, 0xaa, 0xaa, 0xff})
	case Peak:
		return pick(color.RGBA{0x44, 0x44, 0x44, 0xff}, color.RGBA{0xdd, 0xdd, 0xdd, 0xff})
	}
	return pick(color.RGBA{0x11, 0x11, 0x11, 0xff}, color.RGBA{0xee, 0xee, 0xee, 0xff})
}
