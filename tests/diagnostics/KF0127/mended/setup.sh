chmod 600 secrets/partner.key
