import { card } from "../detect/card.js";
import { email } from "../detect/email.js";
import type { Detector } from "../detect/scan/detector.js";
import { iban } from "../detect/iban.js";
import { ipAddress } from "../detect/ip-address.js";
import { phone } from "../detect/phone.js";
import { urlCredentials } from "../detect/url-credentials.js";
import { usSsn } from "../detect/us-ssn.js";

/** Every detector there is, one per finding type. */
export const allDetectors: readonly Detector[] = [email, phone, card, iban, usSsn, ipAddress, urlCredentials];
