package wechat

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1" //nolint:gosec // the platform's contract
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Sizes of the platform's encryption. Its padding fills blocks of 32 bytes, twice
// those of AES.
const (
	keyChars  = 43
	padBlock  = 32
	randomLen = 16
	lengthLen = 4
)

// Codec opens what the platform sends to one account, and seals what is sent to
// it, in security mode.
type Codec struct {
	token, appID string
	key          []byte // 32 bytes; the first 16 are the initial vector, too
}

// NewCodec returns a codec for the account appID. encodingKey is the EncodingAESKey
// as it is shown: 43 characters of Base64, whose last may carry bits that mean
// nothing.
func NewCodec(token, encodingKey, appID string) (*Codec, error) {
	if len(encodingKey) != keyChars || strings.ContainsAny(encodingKey, "\r\n") {
		return nil, fmt.Errorf("read EncodingAESKey: it has %d characters, not %d", len(encodingKey), keyChars)
	}
	key, err := base64.StdEncoding.DecodeString(encodingKey + "=")
	if err != nil {
		return nil, errors.New("read EncodingAESKey: it is not Base64") // the cause would show a part of it
	}
	if token == "" || appID == "" {
		return nil, errors.New("a codec needs a token and an app id")
	}
	return &Codec{token: token, appID: appID, key: key}, nil
}

// sign is what the platform calls a signature: SHA-1 over the sorted parts.
func sign(parts ...string) string {
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, ""))) //nolint:gosec // the platform's contract
	return hex.EncodeToString(sum[:])
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// Greets reports whether the signature of a call without a body holds: whoever
// made it knows the token. It says nothing of a body.
func (c *Codec) Greets(signature, timestamp, nonce string) bool {
	return same(signature, sign(c.token, timestamp, nonce))
}

// Greeting signs a call without a body.
func (c *Codec) Greeting(timestamp, nonce string) (signature string) {
	return sign(c.token, timestamp, nonce)
}

// errSignature and errCipher are all that a caller may learn of what was wrong.
var (
	errSignature = errors.New("the signature does not hold")
	errCipher    = errors.New("the message cannot be opened")
)

// Open checks the signature of an encrypted message and returns what it says.
func (c *Codec) Open(signature, timestamp, nonce, encrypted string) ([]byte, error) {
	if !same(signature, sign(c.token, timestamp, nonce, encrypted)) {
		return nil, errSignature
	}
	sealed, err := base64.StdEncoding.DecodeString(encrypted)
	if err != nil || len(sealed) == 0 || len(sealed)%aes.BlockSize != 0 {
		return nil, errCipher
	}
	block, err := aes.NewCipher(c.key)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	plain := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(block, c.key[:aes.BlockSize]).CryptBlocks(plain, sealed)
	if plain, err = unpad(plain); err != nil {
		return nil, err
	}
	const head = randomLen + lengthLen
	if len(plain) < head {
		return nil, errCipher
	}
	n := uint64(binary.BigEndian.Uint32(plain[randomLen:head]))
	rest := plain[head:]
	if n > uint64(len(rest)) {
		return nil, errCipher
	}
	if !same(string(rest[n:]), c.appID) {
		return nil, errCipher
	}
	return rest[:n], nil
}

func unpad(b []byte) ([]byte, error) {
	n := int(b[len(b)-1])
	if n < 1 || n > padBlock || n > len(b) {
		return nil, errCipher
	}
	for _, x := range b[len(b)-n:] {
		if int(x) != n {
			return nil, errCipher
		}
	}
	return b[:len(b)-n], nil
}

// Seal encrypts and signs a message. random is 16 bytes that nobody can foresee.
func (c *Codec) Seal(random [randomLen]byte, message []byte, timestamp, nonce string) (encrypted, signature string, err error) {
	block, err := aes.NewCipher(c.key)
	if err != nil {
		return "", "", fmt.Errorf("make cipher: %w", err)
	}
	plain := slices.Clone(random[:])
	plain = binary.BigEndian.AppendUint32(plain, uint32(len(message)))
	plain = append(plain, message...)
	plain = append(plain, c.appID...)
	n := padBlock - len(plain)%padBlock
	for range n {
		plain = append(plain, byte(n))
	}
	cipher.NewCBCEncrypter(block, c.key[:aes.BlockSize]).CryptBlocks(plain, plain)
	encrypted = base64.StdEncoding.EncodeToString(plain)
	return encrypted, sign(c.token, timestamp, nonce, encrypted), nil
}
