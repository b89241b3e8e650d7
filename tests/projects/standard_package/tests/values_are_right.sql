select number from {{ ref('values') }} where not equal
