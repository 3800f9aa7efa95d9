/**
 * @typedef {(asked: {renew: boolean}) => string | Promise<string>} Credential  `renew`: the last one
 *   was refused or has expired
 */

/**
 * The token, or whatever else it is, as it is now; "" for none.
 *
 * @param {string | Credential | undefined} secret  itself, or what gets it
 * @param {{renew: boolean}} asked
 * @returns {Promise<string>}
 */
export async function secretOf(secret, asked) {
  return (typeof secret === "function" ? await secret(asked) : secret) ?? "";
}
