#error "<mbedtls/rsa.h> is out of reach of actors: adapters own TLS and keys"
