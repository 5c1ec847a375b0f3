// SPDX-License-Identifier: MIT

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

// Media types of the OCI image specification 1.1.
const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

type (
	object     = map[string]any
	descriptor struct {
		MediaType   string            `json:"mediaType"`
		Digest      string            `json:"digest"`
		Size        int               `json:"size"`
		Platform    map[string]string `json:"platform,omitempty"`
		Annotations map[string]string `json:"annotations,omitempty"`
	}
)

// An archive is a tar file that depends on what is put into it only.
type archive struct {
	*tar.Writer
	at time.Time
}

// add writes a file, or with a name that ends with / a directory.
func (a archive) add(name string, mode int64, content []byte) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content)), ModTime: a.at}
	if name[len(name)-1] == '/' {
		h.Typeflag = tar.TypeDir
	}
	if err := a.WriteHeader(h); err != nil {
		return err
	}
	_, err := a.Write(content)
	return err
}

// image returns the archive of an image with one layer: an OCI image layout, with the manifest.json that Docker before
// 25 reads.
func image(binary, notices string) ([]byte, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	at, err := sourceDate()
	if err != nil {
		return nil, err
	}
	own, err := version()
	if err != nil {
		return nil, err
	}
	root, err := layer(binary, notices, at)
	if err != nil {
		return nil, err
	}
	packed, err := pack(root)
	if err != nil {
		return nil, err
	}
	arch := setting(info, "GOARCH")
	labels := map[string]string{"org.opencontainers.image.title": "nicteam", "org.opencontainers.image.version": own,
		"org.opencontainers.image.licenses": "MIT"}

	var out bytes.Buffer
	a := archive{tar.NewWriter(&out), at}
	blob := func(mediaType string, content []byte) (d descriptor, path string, err error) {
		sum := fmt.Sprintf("%x", sha256.Sum256(content))
		path = "blobs/sha256/" + sum
		return descriptor{MediaType: mediaType, Digest: "sha256:" + sum, Size: len(content)}, path,
			a.add(path, 0o644, content)
	}
	document := func(mediaType string, doc any) (descriptor, string, error) {
		b, err := json.Marshal(doc)
		if err != nil {
			return descriptor{}, "", err
		}
		return blob(mediaType, b)
	}
	layerBlob, layerPath, err := blob(typeLayer, packed)
	if err != nil {
		return nil, err
	}
	config, configPath, err := document(typeConfig, object{
		"created": at.Format(time.RFC3339), "architecture": arch, "os": "linux",
		"config": object{"Entrypoint": []string{"/usr/sbin/nicteam"}, "Cmd": []string{"help"},
			"Env": []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, "Labels": labels, "StopSignal": "SIGTERM"},
		"rootfs":  object{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(root))}},
		"history": []object{{"created": at.Format(time.RFC3339), "created_by": "make image"}},
	})
	if err != nil {
		return nil, err
	}
	manifest, _, err := document(typeManifest, object{"schemaVersion": 2, "mediaType": typeManifest,
		"config": config, "layers": []descriptor{layerBlob}, "annotations": labels})
	if err != nil {
		return nil, err
	}
	manifest.Platform = map[string]string{"architecture": arch, "os": "linux"}
	manifest.Annotations = map[string]string{"org.opencontainers.image.ref.name": own,
		"io.containerd.image.name": "docker.io/library/nicteam:" + own}
	for _, f := range []struct {
		name string
		doc  any
	}{
		{"oci-layout", object{"imageLayoutVersion": "1.0.0"}},
		{"index.json", object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []descriptor{manifest}}},
		{"manifest.json", []object{{"Config": configPath, "RepoTags": []string{"nicteam:" + own},
			"Layers": []string{layerPath}}}},
	} {
		b, err := json.Marshal(f.doc)
		if err == nil {
			err = a.add(f.name, 0o644, b)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := a.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// layer is the root directory of the image: the program, its licences, its user and its directories.
func layer(binary, notices string, at time.Time) ([]byte, error) {
	program, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	texts, err := os.ReadFile(notices)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	a := archive{tar.NewWriter(&out), at}
	for _, f := range []struct {
		name    string
		mode    int64
		content string
	}{
		{"dev/", 0o755, ""}, {"proc/", 0o755, ""}, {"sys/", 0o755, ""},
		{"etc/", 0o755, ""}, {"etc/nicteam/", 0o750, ""},
		{"etc/passwd", 0o644, "root:x:0:0:root:/:/sbin/nologin\nnicteam:x:990:990:NIC teams:/:/sbin/nologin\n"},
		{"etc/group", 0o644, "root:x:0:\nnicteam:x:990:\n"},
		{"run/", 0o755, ""}, {"run/nicteam/", 0o750, ""}, {"tmp/", 0o1777, ""},
		{"usr/", 0o755, ""}, {"usr/sbin/", 0o755, ""}, {"usr/sbin/nicteam", 0o755, string(program)},
		{"usr/share/", 0o755, ""}, {"usr/share/doc/", 0o755, ""}, {"usr/share/doc/nicteam/", 0o755, ""},
		{"usr/share/doc/nicteam/copyright", 0o644, string(texts)},
		{"var/", 0o755, ""}, {"var/lib/", 0o755, ""}, {"var/lib/nicteam/", 0o750, ""},
	} {
		if err := a.add(f.name, f.mode, []byte(f.content)); err != nil {
			return nil, err
		}
	}
	if err := a.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// pack compresses without a name or a time.
func pack(content []byte) ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(z, bytes.NewReader(content)); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
