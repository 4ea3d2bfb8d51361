#error "<mbedtls/cipher.h> is out of reach of actors: adapters own TLS and keys"
