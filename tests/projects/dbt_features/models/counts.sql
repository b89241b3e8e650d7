{{ counts([ref('people'), ref('stg_people')]) }}
