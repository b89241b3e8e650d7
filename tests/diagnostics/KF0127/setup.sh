chmod 644 secrets/partner.key
