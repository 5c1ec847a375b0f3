// SPDX-License-Identifier: MIT

package frame

// Count is frames on the wire's side of segmentation, and their bytes without FCS.
type Count struct {
	Bytes  uint64 `json:"bytes"`
	Frames uint64 `json:"frames"`
}

// Add adds o to c.
func (c *Count) Add(o Count) { c.Bytes += o.Bytes; c.Frames += o.Frames }
