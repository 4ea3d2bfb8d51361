/* sign.h - Ed25519 signatures (RFC 8032). Pure; libsodium does the work. */
#ifndef HOLDFAST_SIGN_H
#define HOLDFAST_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HF_SIGN_SEED_SIZE 32u /* random: the secret */
#define HF_SIGN_KEY_SIZE 32u  /* what everybody may know */
#define HF_SIGNATURE_SIZE 64u

void hf_sign_key(const uint8_t seed[HF_SIGN_SEED_SIZE], uint8_t ret_key[HF_SIGN_KEY_SIZE]);
void hf_sign(const uint8_t seed[HF_SIGN_SEED_SIZE], const void *message, size_t size,
             uint8_t ret_signature[HF_SIGNATURE_SIZE]);
/* Everything may be hostile. */
bool hf_sign_holds(const uint8_t key[HF_SIGN_KEY_SIZE], const void *message, size_t size,
                   const uint8_t signature[HF_SIGNATURE_SIZE]);

#endif
