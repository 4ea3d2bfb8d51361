#error "<mbedtls/ctr_drbg.h> is out of reach of actors: adapters own TLS and keys"
